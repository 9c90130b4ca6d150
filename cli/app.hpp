// From argv to an exit code: find the command, parse, run, and say what went wrong.
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/context.hpp"

namespace vmbackup::cli {

// Runs one command line. `argv` holds the program name first. Never throws, never ends the process; safe to call again.
ExitCode run(World& world, const std::vector<Command>& commands, const std::vector<std::string>& argv);

// How help calls us: a name typed without a path stands as it is ("kubectl-vmbackup"); kubectl starts its plugins by path, so
// with a path it is "kubectl vmbackup".
std::string program_name(const std::vector<std::string>& argv);

}  // namespace vmbackup::cli
