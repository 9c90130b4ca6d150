// kubectl vmbackup show: all that is known of one snapshot.
#include <memory>

#include "backup/inventory.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/names.hpp"
#include "cli/printers.hpp"
#include "cli/result.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_description =
    "Shows one snapshot with its disks, their VolumeSnapshots and the time of each cut (by the storage's clock). What may not be read is "
    "said under Remarks. The level of consistency is computed from what was recorded while the snapshot was taken, as long as that fits "
    "the "
    "objects, or, said to be inferred, from what the objects alone can show; below it stand why it is not stronger, what it takes on "
    "trust, and what "
    "a stronger one would have needed. Recorded evidence is unsigned: whoever may change the object may change it. "
    "kubectl-vmbackup-levels(7) explains the levels. The indications are KubeVirt's own words, passed on as they are.";

struct Options {
  std::string snapshot;
  bool ignore_recorded = false;
  base::Duration timeout = std::chrono::minutes(2);
  OutputFormat output = OutputFormat::table;
};

ExitCode run_show(const Options& options, Context& context) {
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) return context.fail(cluster.error());
  const base::Result<backup::SnapshotItem> item =
      backup::show_snapshot(*cluster->client, {cluster->ns, options.snapshot}, options.ignore_recorded, deadline, context.stop());
  if (!item) return context.fail(item.error());
  print_result(context, options.output,
               {.document = [&] { return snapshot_document(*item); },
                .text = [&](bool wide) { return snapshot_details_text(*item, wide); },
                .names = [&] { return snapshot_names_text({*item}); }});
  context.console().result(snapshot_document(*item), 0);
  return ExitCode::done;
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Argument{.name = "SNAPSHOT",
                     .help = "the snapshot, as NAME or vmsnapshot/NAME",
                     .names = Names::snapshot,
                     .add = name_into(options->snapshot, Names::snapshot)});
  bind_ignore_recorded(flags, options->ignore_recorded);
  bind_timeout(flags, options->timeout);
  bind_output(flags, options->output,
              {OutputFormat::table, OutputFormat::wide, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
  return [options](Context& context) { return run_show(*options, context); };
}

}  // namespace

Command show_command() {
  return {.name = "show",
          .group = CommandGroup::keep,
          .summary = "Show one snapshot and its disks",
          .description = k_description,
          .examples = {{"one snapshot", "show db-0-nightly -n prod"}, {"when was each disk cut?", "show db-0-nightly -n prod -o json"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::deadline},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
