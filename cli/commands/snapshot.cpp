// kubectl vmbackup snapshot: take one snapshot and wait for it.
#include "backup/snapshot.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "backup/run_id.hpp"
#include "backup/snapshot_event.hpp"
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
    "Creates a VirtualMachineSnapshot of one VM, follows it and its VolumeSnapshots until it is ready to use, and prints what is in it. "
    "Before anything is created it checks that the VM exists, that nothing else is under way on it, and that at least one of its disks can "
    "be snapshotted.\n"
    "\n"
    "KubeVirt's controller freezes a running guest by itself when a guest agent is connected and the VM is not paused, takes the cuts, and "
    "thaws it. If the controller dies in between, the guest thaws itself after the failure deadline.\n"
    "\n"
    "The indications (Online, GuestAgent, NoGuestAgent, QuiesceTimeout, ...) are KubeVirt's own words and are passed on as they are. "
    "GuestAgent means that an agent was connected and KubeVirt meant to freeze, it does not prove that every disk was cut while the guest "
    "was frozen. This command records no evidence yet, so the level of consistency that list and show give its snapshots is only inferred: "
    "kubectl-vmbackup-levels(7).\n"
    "\n"
    "Ctrl-C and --timeout end the waiting only: the snapshot goes on in the cluster and is named, so that it can be waited for or deleted.";

struct Options {
  std::string vm;
  std::string name;
  std::optional<base::Duration> failure_deadline;
  std::string deletion_policy;
  base::Duration timeout = std::chrono::minutes(30);
  backup::WaitFor wait = backup::WaitFor::ready;
  bool allow_partial = false;
  bool events = true;
  DryRun dry_run = DryRun::none;
  OutputFormat output = OutputFormat::table;
};

struct Attempt {
  backup::SnapshotItem item;
  std::optional<backup::SnapshotPlan> plan;
};

Attempt failed(Attempt attempt, const base::Error& error) {
  attempt.item.outcome = backup::Outcome::failed;
  attempt.item.error = error;
  return attempt;
}

Attempt attempt_snapshot(const Options& options, Context& context, const std::string& run) {
  Attempt attempt;
  attempt.item.vm = options.vm;
  attempt.item.name = options.name;
  attempt.item.ns = context.options().ns;
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) return failed(attempt, cluster.error());
  attempt.item.ns = cluster->ns;

  backup::SnapshotRequest request{.ns = cluster->ns, .vm = options.vm, .run = run, .name = options.name};
  request.failure_deadline = options.failure_deadline;
  request.deletion_policy = options.deletion_policy;
  base::Result<backup::SnapshotPlan> plan = backup::plan_snapshot(*cluster->client, request, deadline, context.stop());
  if (!plan) return failed(attempt, plan.error());
  attempt.plan = *plan;
  for (const std::string& warning : plan->warnings) context.console().warning(warning);

  if (options.dry_run != DryRun::none) {
    attempt.item = backup::item_of(*plan);
    if (options.dry_run == DryRun::client) return attempt;
    const base::Result<void> rehearsed = backup::rehearse_snapshot(*cluster->client, *plan, deadline, context.stop());
    return rehearsed ? attempt : failed(attempt, rehearsed.error());
  }
  Progress progress(context.console(), context.clock(), context.ticking());
  attempt.item = backup::take_snapshot(*cluster->client, context.clock(), progress, *plan, options.wait, deadline, context.stop());
  if (options.events) {
    const base::Result<void> told = backup::tell_on_vm(*cluster->client, context.clock(), *plan, attempt.item, deadline, context.stop());
    // Most users may not write events, and miss nothing by it.
    if (!told && told.error().code() != base::ErrorCode::forbidden)
      context.console().note("no event was written on the VM: " + told.error().message());
  }
  return attempt;
}

ExitCode run_snapshot(const Options& options, Context& context) {
  backup::SnapshotReport report;
  report.start_time = context.clock().wall_now();
  report.run = backup::make_run_id(report.start_time, context.random());
  report.dry_run = options.dry_run != DryRun::none;
  const Attempt attempt = attempt_snapshot(options, context, report.run);
  report.items.push_back(attempt.item);
  report.completion_time = context.clock().wall_now();

  Judgement judgement{.allow_partial = options.allow_partial, .signal = context.signal()};
  // Nothing was waited for: what was planned decides.
  if (options.wait == backup::WaitFor::none) judgement.judge_complete = attempt.plan && !attempt.plan->complete();
  const ExitCode code = exit_code_of(report, judgement);
  const bool planned = report.dry_run && attempt.plan && !attempt.item.error;
  const auto document = [&] {
    json::Value value = snapshot_report_value(report, code);
    if (report.dry_run && attempt.plan) value.set("plan", plan_value(*attempt.plan));
    return value;
  };
  print_result(context, options.output,
               {.document = document,
                .text =
                    [&](bool wide) {
                      return planned ? plan_text(*attempt.plan, options.dry_run == DryRun::server) : snapshot_report_text(report, wide);
                    },
                .names = [&] { return snapshot_names_text(report.items); }});
  tell_end(context, attempt.item, code);
  context.console().result(document(), static_cast<int>(code));
  return code;
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Argument{.name = "VM",
                     .help = "the VM, as NAME or vm/NAME",
                     .names = Names::virtual_machine,
                     .add = name_into(options->vm, Names::virtual_machine)});
  flags.add(Flag{.name = "name",
                 .metavar = "NAME",
                 .help = "name of the snapshot; without it the VM's name and the id of the run",
                 .set = name_into(options->name, Names::snapshot)});
  flags.add(choice<backup::WaitFor>(
      {.name = "wait",
       .metavar = "UNTIL",
       .help = "what to wait for; cut: all disks are cut and KubeVirt calls it Succeeded; ready: it can be restored "
               "as well; none: only create it",
       .fallback = "ready"},
      options->wait, {{"ready", backup::WaitFor::ready}, {"cut", backup::WaitFor::cut}, {"none", backup::WaitFor::none}}));
  bind_timeout(flags, options->timeout);
  bind_failure_deadline(flags, options->failure_deadline);
  flags.add(choice<std::string>({.name = "deletion-policy",
                                 .metavar = "POLICY",
                                 .help = "what becomes of the content when the snapshot object is deleted",
                                 .fallback = "Delete, by KubeVirt"},
                                options->deletion_policy, {{"Delete", "Delete"}, {"Retain", "Retain"}}));
  bind_allow_partial(flags, options->allow_partial);
  flags.add(Flag{.name = "no-events",
                 .help = "write no Event (SnapshotSucceeded, SnapshotFailed) on the VM; where you may not, none is written anyway",
                 .set = [options](const std::string& text) -> base::Result<void> {
                   options->events = text != "true";
                   return {};
                 }});
  bind_dry_run(flags, options->dry_run, true);
  bind_output(flags, options->output,
              {OutputFormat::table, OutputFormat::wide, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
  return [options](Context& context) { return run_snapshot(*options, context); };
}

}  // namespace

Command snapshot_command() {
  return {.name = "snapshot",
          .group = CommandGroup::protect,
          .summary = "Take a snapshot of a VM and wait until it is ready",
          .description = k_description,
          .examples = {{"the VM db-0 in the namespace prod", "snapshot db-0 -n prod"},
                       {"look first: what would be in it, and would the server accept it?", "snapshot db-0 -n prod --dry-run=server"},
                       {"for a script: a report on stdout, an exit code to rely on", "snapshot db-0 -n prod -o json --timeout 10m"},
                       {"create it now, wait for it later", "snapshot db-0 -n prod --name db-0-nightly --wait none"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::weaker, ExitCode::deadline, ExitCode::busy,
                         ExitCode::hung_up, ExitCode::interrupted, ExitCode::terminated},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
