// Man pages and shell completions, written from the table of commands. Both are generated and committed: never edited.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/command.hpp"

namespace vmbackup::cli {

// A file name and what stands in it.
using TextFile = std::pair<std::string, std::string>;

// One page for the program, one per command, and the pages on exit codes, JSON fields, recipes and levels of consistency.
std::vector<TextFile> man_pages(const std::vector<Command>& commands);

// kubectl-vmbackup.bash, _kubectl-vmbackup, kubectl-vmbackup.fish, kubectl_complete-vmbackup.
std::vector<TextFile> completion_files();

// The file for one of: bash, zsh, fish, kubectl. Empty for anything else.
std::string completion_script(const std::string& shell);

}  // namespace vmbackup::cli
