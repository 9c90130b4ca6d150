// kubectl vmbackup version: ours, and what is at work in the cluster.
#include <CLI/Version.hpp>
#include <memory>

#include "backup/run_id.hpp"
#include "backup/versions.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/printers.hpp"
#include "cli/result.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_description =
    "Prints our version, those of Kubernetes, KubeVirt and CDI in the cluster, and for each API that is used which versions are served and "
    "which one is chosen. A part that may not be read is unknown, with the reason on stderr; only where nothing of the cluster can be read "
    "does the command fail, and ours is printed all the same.";

struct Options {
  bool client = false;
  base::Duration timeout = std::chrono::minutes(2);
  OutputFormat output = OutputFormat::table;
};

void tell_unknown(Context& context, const char* what, const std::optional<base::Error>& error) {
  if (!error) return;
  context.console().warning(std::string(what) + " not known: " + error->message());
}

void ask_cluster(const Options& options, Context& context, VersionFacts& facts) {
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) {
    facts.error = cluster.error();
    return;
  }
  const backup::ClusterVersions found = backup::read_versions(*cluster->client, deadline, context.stop());
  if (found.nothing()) {
    facts.error = found.server.error;
  } else {
    facts.cluster = found;
  }
}

ExitCode run_version(const Options& options, Context& context) {
  VersionFacts facts{.version = backup::tool_version(), .libraries = {{"CLI11", CLI11_VERSION}, {"compiler", __VERSION__}}};
  for (const std::pair<std::string, std::string>& library : connection_libraries()) facts.libraries.push_back(library);
  if (!options.client) ask_cluster(options, context, facts);
  const ExitCode code = facts.error ? exit_code_of(*facts.error, context.signal()) : ExitCode::done;
  const auto document = [&] { return version_value(facts, code); };
  print_result(context, options.output, {.document = document, .text = [&](bool) { return version_text(facts); }, .names = {}});
  if (facts.error) return context.fail(*facts.error);
  if (facts.cluster) {
    tell_unknown(context, "the version of Kubernetes is", facts.cluster->server.error);
    tell_unknown(context, "the version of KubeVirt is", facts.cluster->kubevirt.error);
    tell_unknown(context, "the version of CDI is", facts.cluster->cdi.error);
    tell_unknown(context, "the APIs that are served are", facts.cluster->apis_error);
  }
  context.console().result(document(), static_cast<int>(code));
  return code;
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Flag{.name = "client", .help = "only our own version; the cluster is not asked", .set = switch_into(options->client)});
  bind_timeout(flags, options->timeout);
  bind_output(flags, options->output, {OutputFormat::table, OutputFormat::json, OutputFormat::yaml});
  return [options](Context& context) { return run_version(*options, context); };
}

}  // namespace

Command version_command() {
  return {.name = "version",
          .summary = "Print our version and those at work in the cluster",
          .description = k_description,
          .examples = {{"all of them", "version"},
                       {"ours alone, without a cluster", "version --client"},
                       {"for a bug report, with the libraries in it", "version -o json"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::deadline},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
