#include "base/command.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

#include "base/spawn.hpp"
#include "base/text.hpp"

namespace vmbackup::base {
namespace {

// 0, or why not.
int spawn(const CommandOptions& options, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (!options.input) posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (options.output_to_error) posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
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
