// kubectl vmbackup wait: follow snapshots that exist.
#include <memory>
#include <set>

#include "backup/inventory.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/names.hpp"
#include "cli/printers.hpp"
#include "cli/progress.hpp"
#include "cli/result.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_description =
    "Waits until snapshots reach a state, whoever made them, and prints what is in them. It ends early when that can no longer happen: the "
    "snapshot failed, was deleted, or was replaced under its name, or something stands in its way that is known not to go away by itself. "
    "Several are followed together, by one list and one watch per kind, within one --timeout.\n"
    "\n"
    "Known not to go away, so that the wait ends with 1 and the cause, while KubeVirt goes on trying until its failure deadline:\n"
    "  after 10 seconds  the storage calls the request itself wrong (its CSI code says that no repetition\n"
    "                    helps); the VM is gone; it is locked for a snapshot that does not exist; KubeVirt\n"
    "                    cannot choose between several VolumeSnapshotClasses, which only its log tells\n"
    "  after a minute    any other error of the storage or of the freeze, in the same words all the time;\n"
    "                    a volume that does not exist; all disks cut and the end not reached, as when the\n"
    "                    guest cannot be thawed\n"
    "--wait-on-error goes on. wait deletes nothing and thaws no guest, whichever way it ends.";

struct Options {
  std::vector<std::string> snapshots;
  backup::AwaitState state = backup::AwaitState::ready;
  base::Duration timeout = std::chrono::minutes(30);
  bool allow_partial = false;
  bool wait_on_error = false;
  OutputFormat output = OutputFormat::table;
};

std::vector<backup::SnapshotItem> wait_for_all(const Options& options, Context& context, const base::Deadline& deadline) {
  const base::Result<Connected>& cluster = context.cluster();
  if (cluster) {
    Progress progress(context.console(), context.clock(), context.ticking());
    return backup::await_snapshots(*cluster->client, context.clock(), progress, cluster->ns, options.snapshots, options.state,
                                   options.wait_on_error, deadline, context.stop());
  }
  std::vector<backup::SnapshotItem> items(options.snapshots.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].ns = context.options().ns;
    items[i].name = options.snapshots[i];
    items[i].error = cluster.error();
  }
  return items;
}

// Of a thousand snapshots, many may lack the same.
void tell_reasons(Context& context, const std::vector<backup::SnapshotItem>& items) {
  std::set<std::string> told;
  for (const backup::SnapshotItem& item : items) {
    for (const std::string& reason : item.reasons) {
      if (told.insert(reason).second) context.console().warning(reason);
    }
  }
}

ExitCode run_wait(const Options& options, Context& context) {
  backup::SnapshotReport report;
  report.start_time = context.clock().wall_now();
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  report.items = wait_for_all(options, context, deadline);
  report.completion_time = context.clock().wall_now();

  const bool deleted = options.state == backup::AwaitState::deleted;
  const Judgement judgement{.allow_partial = options.allow_partial, .judge_complete = !deleted, .signal = context.signal()};
  const ExitCode code = exit_code_of(report, judgement);
  print_result(context, options.output,
               {.document = [&] { return snapshot_report_value(report, code); },
                .text = [&](bool wide) { return deleted ? std::string() : snapshot_report_text(report, wide); },
                .names = [&] { return deleted ? std::string() : snapshot_names_text(report.items); }});
  if (!deleted) tell_reasons(context, report.items);
  std::set<std::string> told;
  for (const backup::SnapshotItem& item : report.items) {
    // A server that is away is one trouble, however many were asked for.
    if (item.error && !told.insert(item.error->message()).second) continue;
    tell_end(context, item, exit_code_of(item, judgement));
    if (deleted && !item.error) context.console().note("vmsnapshot/" + item.name + " is gone");
  }
  if (context.console().style() == ProgressStyle::json) {
    context.console().result(snapshot_report_value(report, code), static_cast<int>(code));
  }
  return code;
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Argument{.name = "SNAPSHOT",
                     .help = "snapshots, as NAME or vmsnapshot/NAME",
                     .many = true,
                     .names = Names::snapshot,
                     .add = names_into(options->snapshots, Names::snapshot)});
  flags.add(choice<backup::AwaitState>(
      {.name = "for",
       .metavar = "STATE",
       .help = "what to wait for; cut: all disks are cut and KubeVirt calls it Succeeded; ready: it can be restored as well; deleted: the "
               "snapshot object is gone",
       .fallback = "ready"},
      options->state, {{"ready", backup::AwaitState::ready}, {"cut", backup::AwaitState::cut}, {"deleted", backup::AwaitState::deleted}}));
  bind_timeout(flags, options->timeout);
  bind_wait_on_error(flags, options->wait_on_error);
  bind_allow_partial(flags, options->allow_partial);
  bind_output(flags, options->output,
              {OutputFormat::table, OutputFormat::wide, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
  return [options](Context& context) { return run_wait(*options, context); };
}

}  // namespace

Command wait_command() {
  return {.name = "wait",
          .group = CommandGroup::keep,
          .summary = "Wait for snapshots",
          .description = k_description,
          .examples = {{"until it can be restored", "wait vmsnapshot/db-0-nightly -n prod"},
                       {"until it is gone", "wait vmsnapshot/db-0-nightly -n prod --for deleted --timeout 5m"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::weaker, ExitCode::mixed, ExitCode::deadline,
                         ExitCode::hung_up, ExitCode::interrupted, ExitCode::terminated},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
