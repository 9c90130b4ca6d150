#include "base/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <optional>
#include <system_error>
#include <thread>

#include "base/spawn.hpp"
#include "base/text.hpp"

namespace vmbackup::base {
namespace {

// Reads what a child writes, on a thread of its own, so that a full pipe never stops it.
class Capture {
 public:
  explicit Capture(std::size_t most) : most_(most) {
    ok_ = ::pipe2(ends_.data(), O_CLOEXEC) == 0;
    if (!ok_) return;
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    over_ = ::eventfd(0, EFD_CLOEXEC);
    ok_ = over_ >= 0;
  }
  ~Capture() {
    finish();
    for (const int fd : {ends_[0], ends_[1], over_}) {
      if (fd >= 0) ::close(fd);
    }
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  bool ok() const { return ok_; }
  int input() const { return ends_[1]; }
  void begin() {
    reader_ = std::thread([this] { read_all(); });
  }
  // The child has ended: what is in the pipe is all that counts, whoever else may hold it open.
  void finish() {
    if (!reader_.joinable()) return;
    const std::uint64_t one = 1;
    (void)!::write(over_, &one, sizeof one);
    reader_.join();
  }
  void give(CommandEnd& end) {
    end.output = std::move(text_);
    end.output_bytes = bytes_;
  }

 private:
  void read_all() {
    for (;;) {
      std::array<pollfd, 2> events = {{{ends_[0], POLLIN, 0}, {over_, POLLIN, 0}}};
      ::poll(events.data(), events.size(), -1);
      const bool last = events[1].revents != 0;
      // A child of the child that writes for ever must not keep us.
      for (std::size_t round = 0; round < 1024 && read_some(); ++round) {
      }
      if (last) return;
    }
  }
  bool read_some() {
    std::array<char, 4096> bytes;
    const ssize_t count = ::read(ends_[0], bytes.data(), bytes.size());
    if (count <= 0) return count < 0 && errno == EINTR;
    const auto length = static_cast<std::size_t>(count);
    bytes_ += length;
    text_.append(bytes.data(), std::min(length, most_ - std::min(most_, text_.size())));
    return true;
  }

  const std::size_t most_;
  bool ok_ = false;
  std::array<int, 2> ends_{-1, -1};
  int over_ = -1;
  std::thread reader_;
  std::string text_;
  std::size_t bytes_ = 0;
};

// 0, or why not. `output`: where both of its outputs go, or -1.
int spawn(const CommandOptions& options, int output, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (!options.input) posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (options.output_to_error) posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  if (output >= 0) {
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  }
  const SpawnAttributes attributes(true);
  const int code = posix_spawnp(&pid, options.argv.front().c_str(), &actions, attributes.get(), pointers(options.argv).data(),
                                pointers(options.environment).data());
  posix_spawn_file_actions_destroy(&actions);
  return code;
}

// A running command. Its process id stays ours until the destructor reaps it, so that a kill cannot meet another process.
class Running {
 public:
  explicit Running(pid_t pid)
      : pid_(pid), waiter_([this] {
          siginfo_t info;
          while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
          }
          ended_.notify();
        }) {}

  // True when it has ended by then.
  bool wait(Clock& clock, TimePoint until, const std::stop_token& stop) {
    has_ended_ = has_ended_ || clock.wait(ended_, until, stop) == WaitEnd::woken;
    return has_ended_;
  }
  void kill(int signal) const { ::kill(-pid_, signal); }

  int reap() {
    waiter_.join();
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  const pid_t pid_;
  bool has_ended_ = false;
  Wakeup ended_;
  std::thread waiter_;
};

}  // namespace

Result<CommandEnd> run_command(const CommandOptions& options, Clock& clock, const Deadline& deadline, const std::stop_token& stop) {
  std::optional<Capture> capture;
  if (options.capture) {
    capture.emplace(options.most_bytes);
    if (!capture->ok()) return Error(ErrorCode::internal, "no pipe: " + std::system_category().message(errno));
  }
  pid_t pid = 0;
  const int code = spawn(options, capture ? capture->input() : -1, pid);
  if (code != 0) {
    const ErrorCode kind = code == ENOENT ? ErrorCode::not_found : code == EACCES ? ErrorCode::forbidden : ErrorCode::internal;
    return Error(kind, "cannot start " + printable(options.argv.front(), 300) + ": " + std::system_category().message(code));
  }
  Running command(pid);
  if (capture) capture->begin();
  CommandEnd end;
  if (!command.wait(clock, deadline.when(), stop)) {
    end.given_up = true;
    command.kill(SIGTERM);
    // Who asked us to stop does not stop this.
    if (!command.wait(clock, clock.now() + options.grace, {})) command.kill(SIGKILL);
    command.wait(clock, Deadline::never().when(), {});
    // What ignored TERM in its group would go on beside whatever comes next.
    command.kill(SIGKILL);
  }
  end.exit_code = command.reap();
  if (capture) {
    capture->finish();
    capture->give(end);
  }
  return end;
}

}  // namespace vmbackup::base
