// A child process that answers on its standard output.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <vector>

#include "base/duration.hpp"
#include "base/result.hpp"

namespace vmbackup::base {

struct ChildOptions {
  std::string path;                      // of the program; no shell, no search
  std::vector<std::string> argv;         // argv[0] included
  std::vector<std::string> environment;  // all of it, "NAME=value"
  // Standard input is ours, and the child stays in our process group, so that it may read the terminal. Otherwise /dev/null and a group of
  // its own.
  bool inherit_input = false;
  Duration limit{};  // killed after that, with its group
  std::size_t most_bytes = std::size_t{1} << 20;
};

struct ChildEnd {
  int exit_code = 0;  // 128 + signal where one ended it
  std::string output;
};

// Starts the child and reads its standard output until it ends; standard error is ours. What it leaves running in the background is neither
// waited for nor ended, unless the time is up. The child starts with no blocked and no ignored signals.
// not_found: no such program. forbidden: not executable. timeout: still running at the limit. cancelled: stopped. invalid: too much output.
// In the last three it has been killed. Messages hold neither arguments, environment nor output. Any thread.
Result<ChildEnd> run_child(const ChildOptions& options, const std::stop_token& stop);

}  // namespace vmbackup::base
