// kubectl vmbackup help.
#include "cli/help.hpp"

#include <memory>
#include <string>

#include "base/text.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace vmbackup::cli {
namespace {

ExitCode run_help(const std::string& name, Context& context) {
  if (name.empty()) {
    context.out().write(overview(context.commands(), context.program()));
    return ExitCode::done;
  }
  const Command* command = find_command(context.commands(), name);
  if (command != nullptr) {
    context.out().write(command_help(*command, context.program()));
    return ExitCode::done;
  }
  if (const Topic* topic = find_topic(name); topic != nullptr) {
    context.out().write(topic_help(*topic, context.program()));
    return ExitCode::done;
  }
  std::vector<std::string> names;
  for (const Topic& topic : topics()) names.emplace_back(topic.name);
  for (const Command& each : context.commands()) {
    if (!each.hidden) names.push_back(each.name);
  }
  const std::optional<std::string> near = base::nearest(name, names);
  return context.fail(base::Error(base::ErrorCode::usage, "unknown command \"" + base::printable(name, 128) + '"',
                                  near ? "did you mean \"" + *near + "\"?" : "see \"" + context.program() + " help\""));
}

Run bind(Flags& flags) {
  const std::shared_ptr<std::string> name = std::make_shared<std::string>();
  std::vector<std::string> names;
  for (const Topic& topic : topics()) names.emplace_back(topic.name);
  flags.add(Argument{.name = "COMMAND",
                     .help = "a command, or a topic (" + base::join(names, ", ") + "); without it all are listed",
                     .required = false,
                     .names = Names::command,
                     .add = text_into(*name)});
  return [name](Context& context) { return run_help(*name, context); };
}

}  // namespace

Command help_command() {
  return {.name = "help",
          .summary = "Tell about a command or a topic",
          .examples = {{"all about snapshot", "help snapshot"}, {"what the levels of consistency mean", "help levels"}},
          .exit_codes = {ExitCode::done, ExitCode::usage},
          .bind = bind};
}

}  // namespace vmbackup::cli
