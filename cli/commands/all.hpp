// The table of subcommands. A new one: its file in this folder, its line here and in all.cpp.
#pragma once

#include <vector>

#include "cli/command.hpp"

namespace vmbackup::cli {

Command snapshot_command();
Command freeze_command();
Command thaw_command();
Command list_command();
Command show_command();
Command wait_command();
Command delete_command();
Command forget_command();
Command version_command();
Command completion_command();
Command help_command();
Command generate_command();
Command complete_command();

// In the order in which help shows them.
std::vector<Command> all_commands();

}  // namespace vmbackup::cli
