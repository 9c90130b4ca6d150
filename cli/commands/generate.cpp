// Hidden: writes the man pages and completions that are committed, and the examples for the test that runs them.
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/docs.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

struct Options {
  std::string man;
  std::string completions;
  bool examples = false;
};

json::Value examples_value(const std::vector<Command>& commands) {
  json::Array examples;
  for (const Command& command : commands) {
    for (const Example& example : command.examples) {
      examples.push_back(json::Value::object({{"command", command.name}, {"comment", example.comment}, {"line", example.line}}));
    }
  }
  return examples;
}

base::Result<void> write_files(const std::string& folder, const std::vector<TextFile>& files) {
  for (const TextFile& file : files) {
    const std::string path = folder + '/' + file.first;
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << file.second;
    out.close();
    if (!out) return base::Error(base::ErrorCode::unavailable, "write " + path + ": " + std::strerror(errno));
    const bool script = file.second.rfind("#!", 0) == 0;
    if (script && chmod(path.c_str(), 0755) != 0) {
      return base::Error(base::ErrorCode::unavailable, "make " + path + " executable: " + std::strerror(errno));
    }
  }
  return {};
}

ExitCode run_generate(const Options& options, Context& context) {
  if (!options.man.empty()) {
    const base::Result<void> written = write_files(options.man, man_pages(context.commands()));
    if (!written) return context.fail(written.error());
  }
  if (!options.completions.empty()) {
    const base::Result<void> written = write_files(options.completions, completion_files());
    if (!written) return context.fail(written.error());
  }
  if (options.examples) context.out().write(json_text(examples_value(context.commands())));
  return ExitCode::done;
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Flag{.name = "man", .metavar = "FOLDER", .help = "write the man pages there", .set = text_into(options->man)});
  flags.add(
      Flag{.name = "completions", .metavar = "FOLDER", .help = "write the completions there", .set = text_into(options->completions)});
  flags.add(Flag{.name = "examples", .help = "print all examples as JSON", .set = switch_into(options->examples)});
  return [options](Context& context) { return run_generate(*options, context); };
}

}  // namespace

Command generate_command() {
  return {.name = "generate", .summary = "Write man pages, completions and examples", .hidden = true, .bind = bind};
}

}  // namespace vmbackup::cli
