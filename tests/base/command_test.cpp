#include "base/command.hpp"

#include <doctest/doctest.h>

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace vmbackup::base;

namespace {

CommandOptions shell(const std::string& text) {
  return {.argv = {"sh", "-c", text}, .environment = {"PATH=/usr/bin:/bin", "WORD=one two"}, .grace = std::chrono::seconds(20)};
}

// A file that commands write to.
struct Scratch {
  std::string path = (std::filesystem::temp_directory_path() / "vmbackup-command-XXXXXX").string();
  Scratch() { ::close(::mkstemp(path.data())); }
  ~Scratch() { std::filesystem::remove(path); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string text() const {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

}  // namespace

TEST_CASE("a command gives its exit code") {
  SystemClock clock;
  CHECK(run_command(shell("exit 7"), clock, Deadline::never(), {})->exit_code == 7);
  CHECK(run_command(shell("test \"$WORD\" = 'one two'"), clock, Deadline::never(), {})->exit_code == 0);
  const Result<CommandEnd> killed = run_command(shell("kill -KILL $$"), clock, Deadline::never(), {});
  CHECK(killed->exit_code == 128 + 9);
  CHECK_FALSE(killed->given_up);
}

TEST_CASE("a command that cannot be started says why") {
  SystemClock clock;
  CHECK(run_command({.argv = {"no-such-command-anywhere"}, .environment = {}}, clock, Deadline::never(), {}).error().code() ==
        ErrorCode::not_found);
  CHECK(run_command({.argv = {"/etc/passwd"}, .environment = {}}, clock, Deadline::never(), {}).error().code() == ErrorCode::forbidden);
}

TEST_CASE("at the deadline a command gets TERM and may clean up") {
  SystemClock clock;
  const Scratch file;
  const CommandOptions options = shell("trap 'echo cleaned >" + file.path + "; exit 3' TERM; while :; do sleep 0.05; done");
  const Result<CommandEnd> end = run_command(options, clock, Deadline::after(clock, std::chrono::milliseconds(400)), {});
  CHECK(end->given_up);
  CHECK(end->exit_code == 3);
  CHECK(file.text() == "cleaned\n");
}

TEST_CASE("a command that ignores TERM is killed with its group, also when the stop was there before") {
  SystemClock clock;
  std::stop_source stop;
  stop.request_stop();
  CommandOptions options = shell("trap '' TERM; sleep 60 & wait; sleep 60");
  options.grace = std::chrono::milliseconds(300);
  const TimePoint begin = clock.now();
  const Result<CommandEnd> end = run_command(options, clock, Deadline::never(), stop.get_token());
  CHECK(end->given_up);
  // TERM may reach the shell before its trap stands.
  CHECK((end->exit_code == 128 + 9 || end->exit_code == 128 + 15));
  CHECK(clock.now() - begin < std::chrono::seconds(30));
}

TEST_CASE("both outputs are captured where that is asked for, and no more is kept than was allowed") {
  SystemClock clock;
  CommandOptions options = shell("echo out; echo err >&2; exit 3");
  options.capture = true;
  const Result<CommandEnd> end = run_command(options, clock, Deadline::never(), {});
  CHECK(end->exit_code == 3);
  CHECK(end->output == "out\nerr\n");
  CHECK(end->output_bytes == 8);
  CommandOptions much = shell("head -c 300000 /dev/zero");
  much.capture = true;
  much.most_bytes = 1000;
  const Result<CommandEnd> cut = run_command(much, clock, Deadline::never(), {});
  CHECK(cut->output == std::string(1000, '\0'));
  CHECK(cut->output_bytes == 300000);
  // What it leaves behind holds the pipe open, and is not waited for.
  CommandOptions behind = shell("sleep 30 & echo $!");
  behind.capture = true;
  const Result<CommandEnd> left = run_command(behind, clock, Deadline::never(), {});
  REQUIRE(left->output_bytes > 1);
  ::kill(std::stoi(left->output), SIGKILL);
  CHECK_FALSE(left->given_up);
}
