// measure COUNT COMMAND [ARG...]  runs the command COUNT times, its stdout thrown away, and prints one line per run:
//   <wall microseconds> <user and system CPU microseconds> <peak resident kB> <exit code>
// A program of its own because the kernel counts the memory of the process that starts a command as the command's: this one is
// small, Python would hide what is measured.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

long long microseconds(const timeval& time) { return time.tv_sec * 1'000'000LL + time.tv_usec; }

bool run_once(char** command) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  const auto begin = std::chrono::steady_clock::now();
  pid_t pid = 0;
  const int failure = posix_spawnp(&pid, command[0], &actions, nullptr, command, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) {
    std::fprintf(stderr, "measure: %s cannot be started\n", command[0]);
    return false;
  }
  int status = 0;
  rusage usage{};
  if (wait4(pid, &status, 0, &usage) != pid) return false;
  const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  std::printf("%lld %lld %ld %d\n", static_cast<long long>(wall.count()), microseconds(usage.ru_utime) + microseconds(usage.ru_stime),
              usage.ru_maxrss, code);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 2 ? std::strtol(argv[1], nullptr, 10) : 0;
  if (count < 1) {
    std::fputs("usage: measure COUNT COMMAND [ARG...]\n", stderr);
    return 2;
  }
  for (long i = 0; i < count; ++i) {
    if (!run_once(argv + 2)) return 1;
  }
  return 0;
}
