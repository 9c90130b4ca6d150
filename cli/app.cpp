#include "cli/app.hpp"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "backup/run_id.hpp"
#include "base/text.hpp"
#include "cli/help.hpp"
#include "cli/parse.hpp"

namespace vmbackup::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

ProgressStyle style_of(const CommonOptions& options, const World& world) {
  switch (options.progress) {
    case ProgressKind::json:
      return ProgressStyle::json;
    case ProgressKind::plain:
      return ProgressStyle::plain;
    case ProgressKind::none:
      return ProgressStyle::none;
    case ProgressKind::automatic:
      return world.streams.err.terminal() && !world.environment.dumb ? ProgressStyle::live : ProgressStyle::plain;
  }
  return ProgressStyle::plain;
}

Console make_console(const CommonOptions& options, World& world) {
  const bool color = world.streams.err.terminal() && !options.no_color && !world.environment.no_color && !world.environment.dumb;
  return {world.streams.err, world.clock, {style_of(options, world), options.quiet, color}};
}

bool is_given(const Given& given, const std::string& name) {
  return std::any_of(given.flags.begin(), given.flags.end(), [&name](const GivenFlag& flag) { return flag.name == name; });
}

// While it lives, signals that are refused because a guest is held are told on the console.
class Hearing {
 public:
  Hearing(World& world, Console& console) : world_(world) {
    if (world_.hear) world_.hear([&console](const std::string& text) { console.warning(text); });
  }
  ~Hearing() {
    if (world_.hear) world_.hear({});
  }
  Hearing(const Hearing&) = delete;
  Hearing& operator=(const Hearing&) = delete;

 private:
  World& world_;
};

// One command line on its way through the program.
class Session {
 public:
  Session(World& world, const std::vector<Command>& commands, const std::vector<std::string>& argv)
      : world_(world), commands_(commands), program_(program_name(argv)) {
    if (!argv.empty()) words_ = split_words({argv.begin() + 1, argv.end()});
  }

  ExitCode run() {
    Flags outer;
    bind_common(outer, common_);
    const std::string name = take_name(outer);
    if (name.empty()) return without_command(outer);
    const Command* command = find_command(commands_, name);
    if (command == nullptr) return unknown_command(name);
    if (command->raw_run) return run_raw(*command);
    return run_command(*command);
  }

 private:
  // Takes the command's name out of the words. In "-o json list" only the command itself knows that "json" belongs to -o, as kubectl
  // allows: so it is the command that would be the first word if its own flags were known.
  std::string take_name(const Flags& outer) {
    const std::vector<std::string> typed = words_.before;
    const std::string name = take_command(words_.before, outer);
    if (name.empty() || find_command(commands_, name) != nullptr) return name;
    for (const Command& command : commands_) {
      Flags flags;
      CommonOptions unused;
      const Run run = bind_all(command, flags, unused);
      std::vector<std::string> words = typed;
      if (take_command(words, flags) != command.name) continue;
      words_.before = std::move(words);
      return command.name;
    }
    return name;
  }

  ExitCode without_command(Flags& outer) {
    bool version = false;
    outer.add(Flag{.name = "version", .help = "print the version", .set = switch_into(version)});
    Result<Given> given = parse(words_.before, outer);
    if (given && is_given(*given, "help")) {
      world_.streams.out.write(overview(commands_, program_));
      return finish(ExitCode::done);
    }
    const Result<void> applied = given ? outer.apply(*given) : Result<void>(given.error());
    if (!applied) return usage_error(applied.error(), nullptr, outer);
    if (version) {
      world_.streams.out.write(std::string("kubectl-vmbackup ") + backup::tool_version() + '\n');
      return finish(ExitCode::done);
    }
    // Who types the bare name wants to see what there is; a script that lost its words must still notice.
    Console console = make_console(common_, world_);
    console.error(Error(ErrorCode::usage, "no command was given"), static_cast<int>(ExitCode::usage));
    console.block(overview(commands_, program_));
    return ExitCode::usage;
  }

  ExitCode unknown_command(const std::string& name) {
    std::vector<std::string> names;
    for (const Command& command : commands_) {
      if (!command.hidden) names.push_back(command.name);
    }
    const std::optional<std::string> near = base::nearest(name, names);
    const Error error(ErrorCode::usage, "unknown command \"" + base::printable(name, 128) + '"',
                      near ? "did you mean \"" + *near + "\"?" : "");
    Flags outer;
    bind_common(outer, common_);
    // Only for what it says of --progress.
    const Result<Given> given = parse(words_.before, outer);
    if (given) (void)outer.apply(*given).ok();
    return usage_error(error, nullptr, outer);
  }

  ExitCode run_raw(const Command& command) {
    std::vector<std::string> words = words_.before;
    if (words_.after) {
      words.emplace_back("--");
      words.insert(words.end(), words_.after->begin(), words_.after->end());
    }
    Console console = make_console(common_, world_);
    Context context(world_, console, common_, commands_, program_);
    return finish(command.raw_run(context, words));
  }

  ExitCode run_command(const Command& command) {
    Flags flags;
    const Run work = bind_all(command, flags, common_);
    Result<Given> given = parse(words_.before, flags);
    if (given && is_given(*given, "help")) {
      world_.streams.out.write(command_help(command, program_));
      return finish(ExitCode::done);
    }
    if (given && words_.after && flags.rest()) {
      given->rest = words_.after;
    } else if (given && words_.after) {
      given->arguments.insert(given->arguments.end(), words_.after->begin(), words_.after->end());
    }
    const Result<void> applied = given ? flags.apply(*given) : Result<void>(given.error());
    if (!applied) return usage_error(applied.error(), &command, flags);
    Console console = make_console(common_, world_);
    Context context(world_, console, common_, commands_, program_);
    const Hearing hearing(world_, console);
    return finish(work(context));
  }

  ExitCode usage_error(const Error& error, const Command* command, const Flags& flags) {
    Console console = make_console(common_, world_);
    console.error(error, static_cast<int>(ExitCode::usage));
    if (command != nullptr) {
      console.block("usage: " + usage_line(*command, flags, program_) + "\nsee \"" + program_ + " help " + command->name + "\"\n");
    } else {
      console.block("usage: " + program_ + " COMMAND [flags]\nsee \"" + program_ + " help\" for the commands\n");
    }
    return ExitCode::usage;
  }

  // A result that could not be written is no success.
  ExitCode finish(ExitCode code) {
    if (!world_.streams.out.failure()) return code;
    Console console = make_console(common_, world_);
    const ExitCode worse = code == ExitCode::done ? ExitCode::failed : code;
    console.error(*world_.streams.out.failure(), static_cast<int>(worse));
    return worse;
  }

  World& world_;
  const std::vector<Command>& commands_;
  std::string program_;
  Words words_;
  CommonOptions common_;
};

}  // namespace

ExitCode run(World& world, const std::vector<Command>& commands, const std::vector<std::string>& argv) {
  try {
    Session session(world, commands, argv);
    return session.run();
  } catch (const std::exception& unexpected) {
    world.streams.err.write(error_text(Error(ErrorCode::internal, std::string("a defect in this program: ") + unexpected.what()), {}));
    return ExitCode::failed;
  }
}

std::string program_name(const std::vector<std::string>& argv) {
  if (argv.empty() || argv.front().empty() || argv.front().find('/') != std::string::npos) return "kubectl vmbackup";
  return base::printable(argv.front(), 64);
}

}  // namespace vmbackup::cli
