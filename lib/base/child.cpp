#include "base/child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <system_error>
#include <thread>

#include "base/spawn.hpp"
#include "base/text.hpp"

namespace vmbackup::base {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

void ring(int event) {
  const std::uint64_t one = 1;
  (void)!::write(event, &one, sizeof one);
}

// 0, or why not.
int spawn(const ChildOptions& options, int output, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (!options.inherit_input) posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  const SpawnAttributes attributes(!options.inherit_input);
  const int code = posix_spawn(&pid, options.path.c_str(), &actions, attributes.get(), pointers(options.argv).data(),
                               pointers(options.environment).data());
  posix_spawn_file_actions_destroy(&actions);
  return code;
}

// Reads what is there. False: the end, or nothing more for now.
bool read_some(int fd, std::string& output) {
  std::array<char, 4096> bytes;
  const ssize_t count = ::read(fd, bytes.data(), bytes.size());
  if (count > 0) output.append(bytes.data(), static_cast<std::size_t>(count));
  return count > 0 || (count < 0 && errno == EINTR);
}

// A running child. Its process id stays ours until reap(), so that a kill cannot meet another process.
class Child {
 public:
  Child(const ChildOptions& options, int output, pid_t pid) : options_(options), output_(output), pid_(pid) {
    ended_.reset(::eventfd(0, EFD_CLOEXEC));
    stopped_.reset(::eventfd(0, EFD_CLOEXEC));
    waiter_ = std::thread([pid, event = ended_.get()] {
      siginfo_t info;
      while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
      }
      ring(event);
    });
  }

  Result<ChildEnd> run(const std::stop_token& stop) {
    std::optional<Error> failure;
    {
      const std::stop_callback on_stop(stop, [this] { ring(stopped_.get()); });
      failure = follow();
    }
    if (failure) ::kill(options_.inherit_input ? pid_ : -pid_, SIGKILL);
    waiter_.join();
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    if (failure) return *failure;
    return ChildEnd{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), std::move(text_)};
  }

 private:
  std::optional<Error> follow() {
    const auto end = std::chrono::steady_clock::now() + options_.limit;
    bool open = true;
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
      if (left <= 0) return Error(ErrorCode::timeout, "it did not end within " + format_duration(options_.limit));
      std::array<pollfd, 3> events = {{{open ? output_ : -1, POLLIN, 0}, {ended_.get(), POLLIN, 0}, {stopped_.get(), POLLIN, 0}}};
      ::poll(events.data(), events.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000)));
      if (events[2].revents != 0) return Error(ErrorCode::cancelled, "it was given up");
      if (events[0].revents != 0) open = read_some(output_, text_);
      if (text_.size() > options_.most_bytes) return too_much();
      if (events[1].revents == 0) continue;
      // It has ended; what it wrote is in the pipe, which somebody else may hold open.
      while (text_.size() <= options_.most_bytes && read_some(output_, text_)) {
      }
      if (text_.size() > options_.most_bytes) return too_much();
      return std::nullopt;
    }
  }

  Error too_much() const { return {ErrorCode::invalid, "it wrote more than " + std::to_string(options_.most_bytes) + " bytes"}; }

  const ChildOptions& options_;
  const int output_;
  const pid_t pid_;
  Descriptor ended_;
  Descriptor stopped_;
  std::thread waiter_;
  std::string text_;
};

}  // namespace

Result<ChildEnd> run_child(const ChildOptions& options, const std::stop_token& stop) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error(ErrorCode::internal, "no pipe: " + std::system_category().message(errno));
  const Descriptor output(ends[0]);
  Descriptor input(ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
  pid_t pid = 0;
  const int code = spawn(options, input.get(), pid);
  input.reset();
  if (code != 0) {
    const ErrorCode kind = code == ENOENT ? ErrorCode::not_found : code == EACCES ? ErrorCode::forbidden : ErrorCode::internal;
    return Error(kind, "cannot start " + printable(options.path, 300) + ": " + std::system_category().message(code));
  }
  Child child(options, output.get(), pid);
  return child.run(stop);
}

}  // namespace vmbackup::base
