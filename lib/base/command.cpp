#include "base/command.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

#include "base/text.hpp"

namespace vmbackup::base {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& lines) {
  std::vector<char*> out;
  for (const std::string& line : lines) out.push_back(const_cast<char*>(line.c_str()));
  out.push_back(nullptr);
  return out;
}

// 0, or why not.
int spawn(const CommandOptions& options, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  if (!options.input) posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (options.output_to_error) posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
  const int code = posix_spawnp(&pid, options.argv.front().c_str(), &actions, &attributes, pointers(options.argv).data(),
                                pointers(options.environment).data());
  posix_spawnattr_destroy(&attributes);
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
  pid_t pid = 0;
  const int code = spawn(options, pid);
  if (code != 0) {
    const ErrorCode kind = code == ENOENT ? ErrorCode::not_found : code == EACCES ? ErrorCode::forbidden : ErrorCode::internal;
    return Error(kind, "cannot start " + printable(options.argv.front(), 300) + ": " + std::system_category().message(code));
  }
  Running command(pid);
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
  return end;
}

}  // namespace vmbackup::base
