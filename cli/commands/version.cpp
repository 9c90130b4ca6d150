// kubectl vmbackup version.
#include <CLI/Version.hpp>
#include <memory>

#include "backup/run_id.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/result.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

struct Options {
  bool client = false;
  OutputFormat output = OutputFormat::table;
};

ExitCode run_version(const Options& options, Context& context) {
  const std::string version = backup::tool_version();
  print_result(context, options.output,
               {.document =
                    [&] {
                      return version_value(version, {{"CLI11", CLI11_VERSION}, {"compiler", __VERSION__}});
                    },
                .text = [&](bool) { return "kubectl-vmbackup " + version + '\n'; },
                .names = {}});
  return ExitCode::done;
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Flag{.name = "client",
                 .help = "only our own version; this version of the program never asks the cluster for others",
                 .set = switch_into(options->client)});
  bind_output(flags, options->output, {OutputFormat::table, OutputFormat::json, OutputFormat::yaml});
  return [options](Context& context) { return run_version(*options, context); };
}

}  // namespace

Command version_command() {
  return {.name = "version",
          .summary = "Print the version",
          .examples = {{"with what it was built with", "version -o json"}},
          .exit_codes = {ExitCode::done, ExitCode::usage},
          .bind = bind};
}

}  // namespace vmbackup::cli
