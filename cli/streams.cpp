#include "cli/streams.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace vmbackup::cli {

Output::Output(int descriptor) : descriptor_(descriptor), terminal_(isatty(descriptor) == 1) {}

Output::Output(std::string& text, bool terminal, int width) : text_(&text), terminal_(terminal), width_(width) {}

void Output::write(std::string_view text) {
  if (text_ != nullptr) {
    text_->append(text);
    return;
  }
  while (!text.empty() && !closed_) {
    const ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      // Someone made the shared descriptor non-blocking.
      pollfd ready{descriptor_, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      closed_ = true;
      if (errno != EPIPE) {
        const std::string where = descriptor_ == STDOUT_FILENO ? "standard output" : "standard error";
        failure_ = base::Error(base::ErrorCode::unavailable, "write to " + where + ": " + std::strerror(errno));
      }
    }
  }
}

int Output::width() const {
  if (text_ != nullptr) return width_;
  winsize size{};
  if (!terminal_ || ioctl(descriptor_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return width_;
  return size.ws_col;
}

Input::Input(int descriptor) : descriptor_(descriptor), terminal_(isatty(descriptor) == 1) {}

Input::Input(std::string text, bool terminal) : text_(std::move(text)), terminal_(terminal) {}

std::optional<std::string> Input::read_line(const std::stop_token& stop) {
  int wake[2] = {-1, -1};
  if (pipe2(wake, O_CLOEXEC) != 0) return std::nullopt;
  std::optional<std::string> line;
  {
    const std::stop_callback on_stop(stop, [&wake] {
      const char byte = 0;
      [[maybe_unused]] const ssize_t ignored = ::write(wake[1], &byte, 1);
    });
    line = read_until_line_feed(wake[0]);
  }
  close(wake[0]);
  close(wake[1]);
  return line;
}

std::optional<std::string> Input::read_until_line_feed(int wake) {
  std::string line;
  for (;;) {
    char next = 0;
    if (descriptor_ < 0) {
      if (text_.empty()) break;
      next = text_.front();
      text_.erase(0, 1);
    } else {
      pollfd sources[2] = {{descriptor_, POLLIN, 0}, {wake, POLLIN, 0}};
      if (poll(sources, 2, -1) < 0 && errno == EINTR) continue;
      if (sources[1].revents != 0) return std::nullopt;
      const ssize_t count = ::read(descriptor_, &next, 1);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
    }
    if (next == '\n') return line;
    line += next;
  }
  if (line.empty()) return std::nullopt;
  return line;
}

void secure_standard_descriptors() {
  signal(SIGPIPE, SIG_IGN);
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) != -1) continue;
    if (open("/dev/null", O_RDWR) == descriptor) continue;
    // No /dev/null (an empty chroot): a pipe whose other end is closed reads as empty and drops what is written.
    int ends[2];
    if (pipe(ends) != 0) continue;
    const int wanted = descriptor == 0 ? ends[0] : ends[1];
    const int other = descriptor == 0 ? ends[1] : ends[0];
    if (wanted != descriptor) {
      dup2(wanted, descriptor);
      if (other != descriptor) close(other);
      close(wanted);
    } else {
      close(other);
    }
  }
}

}  // namespace vmbackup::cli
