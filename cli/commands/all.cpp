#include "cli/commands/all.hpp"

namespace vmbackup::cli {

std::vector<Command> all_commands() {
  return {
      snapshot_command(), freeze_command(),  thaw_command(),       list_command(), show_command(),     wait_command(),     delete_command(),
      forget_command(),   version_command(), completion_command(), help_command(), generate_command(), complete_command(),
  };
}

}  // namespace vmbackup::cli
