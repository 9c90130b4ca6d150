#include "cli/help.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "cli/page.hpp"
#include "cli/table.hpp"
#include "cli/topics.hpp"

namespace vmbackup::cli {
namespace {

constexpr std::array<CommandGroup, 5> k_command_groups = {CommandGroup::protect, CommandGroup::recover, CommandGroup::prove,
                                                          CommandGroup::keep, CommandGroup::other};
constexpr std::array<FlagGroup, 4> k_flag_groups = {FlagGroup::command, FlagGroup::output, FlagGroup::connection, FlagGroup::general};

// Switches are set to false with "=false"; only what is on by default says so.
bool is_switch(const Flag& flag) { return flag.metavar.empty(); }

}  // namespace

const char* to_string(FlagGroup group) {
  switch (group) {
    case FlagGroup::command:
      return "Flags";
    case FlagGroup::output:
      return "Output";
    case FlagGroup::connection:
      return "Connection";
    case FlagGroup::general:
      return "General";
  }
  return "Flags";
}

std::string usage_line(const Command& command, const Flags& flags, const std::string& program) {
  std::string line = program + ' ' + command.name;
  for (const Argument& argument : flags.arguments()) {
    const std::string name = argument.name + (argument.many ? "..." : "");
    line += argument.required ? ' ' + name : " [" + name + ']';
  }
  line += " [flags]";
  return flags.rest() ? line + " [-- " + flags.rest()->name + ']' : line;
}

std::string overview(const std::vector<Command>& commands, const std::string& program) {
  std::string out = "Snapshots of KubeVirt virtual machines that tell you what you got.\n\nUsage:\n  " + program + " COMMAND [flags]\n";
  for (const CommandGroup group : k_command_groups) {
    std::string lines;
    for (const Command& command : commands) {
      if (command.group == group && !command.hidden) lines += two_columns(command.name, command.summary, 15, 100);
    }
    if (!lines.empty()) out += std::string("\n") + to_string(group) + ":\n" + lines;
  }
  out += "\nTopics:\n";
  for (const Topic& topic : topics()) out += two_columns(topic.name, topic.summary, 15, 100);
  return out + "\n\"" + program + " help COMMAND\" tells more about a command or a topic, \"" + program +
         " --version\" prints the version.\n";
}

std::string flag_spelling(const Flag& flag) {
  std::string out = flag.letter == 0 ? std::string("    ") : std::string("-") + flag.letter + ", ";
  out += "--" + flag.name;
  if (is_switch(flag)) return out;
  return out + (flag.implied.empty() ? ' ' + flag.metavar : "[=" + flag.metavar + ']');
}

std::string flag_text(const Flag& flag) {
  std::vector<std::string> remarks;
  if (flag.choices.size() > 1 && !is_switch(flag)) remarks.push_back(base::join(flag.choices, ", "));
  if (!flag.fallback.empty()) remarks.push_back("default " + flag.fallback);
  if (!is_switch(flag) && !flag.implied.empty() && flag.choices.size() > 1) remarks.push_back("without a value " + flag.implied);
  return flag.help + (remarks.empty() ? "" : " (" + base::join(remarks, "; ") + ')');
}

std::vector<const Flag*> shown_flags(const Command& command, const Flags& flags, FlagGroup group) {
  std::vector<const Flag*> shown;
  for (const Flag& flag : flags.flags()) {
    const bool needless = command.needs == Needs::nothing && (flag.group == FlagGroup::connection || flag.name == "progress" ||
                                                              flag.name == "quiet" || flag.name == "verbose");
    if (flag.group == group && !flag.hidden && !needless) shown.push_back(&flag);
  }
  return shown;
}

std::string command_help(const Command& command, const std::string& program, std::size_t width) {
  Flags flags;
  CommonOptions common;
  const Run run = bind_all(command, flags, common);
  std::string out = command.summary + ".\n\nUsage:\n  " + usage_line(command, flags, program) + '\n';
  if (!command.description.empty()) out += '\n' + wrapped(with_help_for_pages(command.description, program), width);
  if (!flags.arguments().empty()) {
    out += "\nArguments:\n";
    for (const Argument& argument : flags.arguments())
      out += two_columns(argument.name, with_help_for_pages(argument.help, program), 15, width);
    if (flags.rest()) out += two_columns("-- COMMAND", flags.rest()->help, 15, width);
  }
  for (const FlagGroup group : k_flag_groups) {
    std::string lines;
    for (const Flag* flag : shown_flags(command, flags, group))
      lines += two_columns(flag_spelling(*flag), with_help_for_pages(flag_text(*flag), program), 36, width);
    if (!lines.empty()) out += std::string("\n") + to_string(group) + ":\n" + lines;
  }
  if (!command.examples.empty()) {
    out += "\nExamples:\n";
    for (const Example& example : command.examples) out += "  # " + example.comment + "\n  " + program + ' ' + example.line + '\n';
  }
  if (!command.exit_codes.empty()) {
    out += "\nExit codes:\n";
    for (const ExitCodeText& text : exit_code_texts()) {
      if (std::find(command.exit_codes.begin(), command.exit_codes.end(), text.code) == command.exit_codes.end()) continue;
      out += two_columns(std::to_string(static_cast<int>(text.code)), text.meaning, 8, width);
    }
  }
  return out;
}

std::string topic_help(const Topic& topic, const std::string& program, std::size_t width) {
  HelpPage page(topic.summary, program, width);
  topic.write(page);
  return page.text();
}

}  // namespace vmbackup::cli
