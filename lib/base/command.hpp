// A command of the user's that runs while something is held for it.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace vmbackup::base {

struct CommandOptions {
  std::vector<std::string> argv;                   // argv[0] is looked up in PATH; no shell
  std::vector<std::string> environment;            // all of it, "NAME=value"
  bool input = false;                              // standard input is ours; else /dev/null
  bool output_to_error = false;                    // what it writes to standard output goes to our standard error
  bool capture = false;                            // both outputs go into CommandEnd instead
  std::size_t most_bytes = std::size_t{64} << 10;  // kept of what is captured; the rest is counted and dropped
  // Between TERM and KILL where it has to be ended.
  Duration grace = std::chrono::seconds(5);
};

struct CommandEnd {
  int exit_code = 0;             // 128 + signal where one ended it
  bool given_up = false;         // it was still running at the deadline or the stop, and was ended with its whole process group
  std::string output;            // of both, in the order in which it came, where it was captured
  std::size_t output_bytes = 0;  // all of it, also what was dropped
};

// Starts the command in a process group of its own, so that a Ctrl-C at the terminal does not reach it, and waits for it. At `deadline`, or
// when `stop` is requested, its group gets TERM and, `grace` later, KILL; when this returns, the command has ended. What it left running in
// the background by itself is not waited for, and what that still writes is not captured.
// not_found: no such program. forbidden: not executable. internal: it could not be started. Any thread; the child starts with no blocked
// and no ignored signals.
Result<CommandEnd> run_command(const CommandOptions& options, Clock& clock, const Deadline& deadline, const std::stop_token& stop);

}  // namespace vmbackup::base
