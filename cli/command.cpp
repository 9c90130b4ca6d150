#include "cli/command.hpp"

namespace vmbackup::cli {

const char* to_string(CommandGroup group) {
  switch (group) {
    case CommandGroup::protect:
      return "Protect";
    case CommandGroup::recover:
      return "Recover";
    case CommandGroup::prove:
      return "Prove";
    case CommandGroup::keep:
      return "Keep";
    case CommandGroup::other:
      return "Other";
  }
  return "Other";
}

const Command* find_command(const std::vector<Command>& commands, const std::string& name) {
  for (const Command& command : commands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

Run bind_all(const Command& command, Flags& flags, CommonOptions& common) {
  bind_common(flags, common);
  return command.bind ? command.bind(flags) : Run{};
}

}  // namespace vmbackup::cli
