// What a subcommand is. Help, man pages, completion and "did you mean" are folds over a table of these.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/exit_code.hpp"
#include "cli/flags.hpp"

namespace vmbackup::cli {

class Context;

// The work of one command line. Everything it prints goes through the context; it never ends the process.
using Run = std::function<ExitCode(Context&)>;

// Headings of the overview, in this order.
enum class CommandGroup { protect, recover, prove, keep, other };
const char* to_string(CommandGroup group);

enum class Needs {
  nothing,  // works without any cluster: no connection flags
  cluster,
};

struct Example {
  std::string comment;
  std::string line;  // after "kubectl vmbackup "
};

struct Command {
  std::string name{};
  CommandGroup group = CommandGroup::other;
  std::string summary{};      // one line, no full stop
  std::string description{};  // paragraphs separated by an empty line
  std::vector<Example> examples{};
  std::vector<ExitCode> exit_codes{};  // those that it can end with, for its help
  Needs needs = Needs::nothing;
  bool hidden = false;
  bool raw = false;  // the words after the name are handed over as they are (`raw_run`), flags and all
  // Describes flags and arguments; the closure holds the options that they fill. No side effect before the closure runs.
  std::function<Run(Flags&)> bind{};
  std::function<ExitCode(Context&, const std::vector<std::string>&)> raw_run{};
};

const Command* find_command(const std::vector<Command>& commands, const std::string& name);

// All flags of a command, the common ones first. `common` and the returned Run must outlive `flags`.
Run bind_all(const Command& command, Flags& flags, CommonOptions& common);

}  // namespace vmbackup::cli
