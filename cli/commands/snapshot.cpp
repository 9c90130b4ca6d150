// kubectl vmbackup snapshot: take snapshots and wait for them.
#include "backup/snapshot.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backup/consistency.hpp"
#include "backup/left_paused.hpp"
#include "backup/run_id.hpp"
#include "backup/snapshot_retry.hpp"
#include "base/text.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/metrics.hpp"
#include "cli/printers.hpp"
#include "cli/progress.hpp"
#include "cli/result.hpp"
#include "cli/snapshot_flags.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_description =
    "Takes VirtualMachineSnapshots of one VM or of many, follows them and their VolumeSnapshots until they are ready to use, and prints "
    "what "
    "is in each and how consistent it is. Before anything is created it checks that the VM exists, that nothing else is under way on it, "
    "and "
    "that a snapshot of its disks can succeed; --dry-run prints that plan and creates nothing.\n"
    "\n"
    "What can never succeed as things are is refused: no disk that a snapshot could hold; no VolumeSnapshotClass that KubeVirt could "
    "choose, "
    "or one of another driver; a claim that does not exist, is lost, is being deleted, or waits for the first start of a VM that is "
    "stopped; "
    "a DataVolume that has failed or is paused; a pod that uses a disk of a VM that is stopped. With --force the snapshot is created all "
    "the "
    "same, and KubeVirt waits until --failure-deadline for somebody to mend that. What passes by itself is a warning only: a claim that is "
    "being bound or filled, a pod that is being deleted. Where KubeVirt waits for either, the freeze is left to it; --hold freeze, pause "
    "and freeze+pause, --group and recipes are refused then, for guests would stand still meanwhile. --force overrides no other refusal: "
    "not where the VM is being deleted, is "
    "restored or "
    "has another snapshot under way, where its guest cannot be held as asked, or where a right is missing.\n"
    "\n"
    "A running guest has to stand still while its disks are cut. --hold says who sees to that:\n"
    "  auto          as freeze where a guest agent is connected and you may freeze and thaw, else as\n"
    "                controller\n"
    "  freeze        this program freezes the guest, sees that confirmed, creates the snapshot, and\n"
    "                thaws the guest after the last cut. The guest's safety timer is always set. A guest\n"
    "                that would stand still for longer than --max-freeze is let go, and its snapshot\n"
    "                deleted before that\n"
    "  pause         this program pauses the VM: all its disks are of one instant, nothing is flushed.\n"
    "                No timer lets a paused VM run if this program is killed: thaw --all finds it\n"
    "  freeze+pause  freezes, then pauses: nothing runs in the guest, so nobody can thaw it early\n"
    "  controller    KubeVirt's controller freezes, cuts and thaws by itself, whenever it sees a guest\n"
    "                agent and no pause; it cannot be kept from freezing. If it dies in between, the\n"
    "                guest thaws itself after the failure deadline\n"
    "\n"
    "The level of consistency is computed from what was seen: offline (nothing ran), application, filesystem (frozen through every cut), "
    "crash "
    "(all disks of one instant), per-disk (each of its own instant), or unknown. A word of KubeVirt's is never enough for it: the "
    "indications "
    "(Online, GuestAgent, NoGuestAgent, QuiesceTimeout, ...) are printed beside it as they are. What was seen is kept with the snapshot, "
    "so "
    "that list and show can judge it again. What each level needs: kubectl-vmbackup-levels(7).\n"
    "\n"
    "Of several VMs, at most --parallel stand still at a time, or with --group all together: their snapshots are then of one instant, "
    "or none is taken. Without --group each has an outcome of its own, and one that fails does not keep the others "
    "from being taken. A run that was killed is taken up again with --run and the same VMs: what was created then is kept. --retry tries "
    "those that failed again.\n"
    "\n"
    "The wait also ends, with 1 and the cause, at an error that is known not to heal by itself: after 10 seconds where the storage calls "
    "the request itself wrong, after a minute in the same words for any other (the whole list: kubectl vmbackup help wait). A guest that "
    "stands still, held by this program or by KubeVirt, is let go then, where you may thaw, after its snapshot was deleted; where none "
    "does, the snapshot stays and is named. KubeVirt alone goes on trying until its failure deadline, and so does --wait-on-error.\n"
    "\n"
    "Ctrl-C and --timeout let every guest that this program holds go, after deleting a snapshot that is not cut yet; snapshots that "
    "KubeVirt "
    "holds go on in the cluster and are named, so that they can be waited for or deleted.";

// What one run came to.
struct Outcome {
  backup::SnapshotReport report;
  std::optional<backup::SnapshotSet> set;  // none: it could not be planned
  std::optional<base::Error> error;        // of the whole
};

void warn(const backup::SnapshotSet& set, Context& context) {
  const bool many = set.plans.size() > 1;
  for (const backup::SnapshotPlan& plan : set.plans) {
    for (const std::string& warning : plan.warnings) {
      context.console().warning(many ? plan.snapshot.ns + "/" + plan.snapshot.vm + ": " + warning : warning);
    }
  }
}

void add_passed_over(const backup::SnapshotSet& set, backup::SnapshotReport& report) {
  for (const backup::PassedOver& vm : set.passed_over) {
    backup::SnapshotItem item;
    item.ns = vm.name.ns;
    item.vm = vm.name.name;
    item.outcome = backup::Outcome::skipped;
    item.reasons = {vm.reason};
    report.items.push_back(std::move(item));
  }
}

// Dry run: each plan as an item, and what the server says of it.
std::vector<backup::SnapshotItem> planned(const SnapshotOptions& options, const backup::SnapshotSet& set, const Connected& cluster,
                                          const base::Deadline& deadline, Context& context) {
  std::vector<backup::SnapshotItem> items;
  for (const backup::SnapshotPlan& plan : set.plans) {
    items.push_back(backup::item_of(plan));
    if (plan.refusal || options.dry_run == DryRun::client) continue;
    const base::Result<void> rehearsed = backup::rehearse_snapshot(*cluster.client, plan, deadline, context.stop());
    if (rehearsed.ok()) continue;
    items.back().outcome = backup::Outcome::failed;
    items.back().error = rehearsed.error();
  }
  return items;
}

Outcome run(const SnapshotOptions& options, Context& context) {
  Outcome outcome;
  backup::SnapshotReport& report = outcome.report;
  report.start_time = context.clock().wall_now();
  report.dry_run = options.dry_run != DryRun::none;
  backup::SnapshotRequest request = options.request;
  if (request.run.empty()) request.run = backup::make_run_id(report.start_time, context.random());
  report.run = request.run;
  request.recipe_options = {request.run, context.environment().variables, context.options().verbosity > 0};
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  request.selection.ns = cluster ? cluster->ns : context.options().ns;
  base::Result<backup::SnapshotSet> set = cluster
                                              ? backup::plan_snapshots(*cluster->client, context.clock(), request, deadline, context.stop())
                                              : base::Result<backup::SnapshotSet>(cluster.error());
  if (!set) {
    outcome.error = set.error();
    return outcome;
  }
  warn(*set, context);
  if (set->plans.empty() && set->passed_over.empty()) context.console().note("no VM was chosen, nothing was created");
  if (report.dry_run) {
    // They only refine what is planned.
    for (const std::string& note : set->notes) context.console().note(note);
    report.items = planned(options, *set, *cluster, deadline, context);
  } else {
    Progress progress(context.console(), context.clock(), context.ticking());
    const backup::Ground ground{*cluster->client, context.clock(), progress, context.debts()};
    backup::TakeOptions take = options.take;
    take.threads = context.ticking();
    take.parallel = std::min(take.parallel, request.max_held);
    take.lock.run = request.run;
    take.lock.host = context.environment().host;
    take.note = [&context](const std::string& text) { context.console().note(text); };
    backup::TakenSnapshots taken = backup::take_with_retries(ground, request, *set, take, options.retries, deadline, context.stop());
    report.items = std::move(taken.items);
    backup::let_left_paused_go(ground, *set, report.items);
    report.group = std::move(taken.group);
  }
  add_passed_over(*set, report);
  outcome.set = std::move(*set);
  return outcome;
}

// A single VM that could not be planned has an item all the same: scripts find its error where they look for it.
bool add_unplanned(const SnapshotOptions& options, const base::Error& error, Context& context, backup::SnapshotReport& report) {
  if (options.request.selection.names.size() != 1) return false;
  backup::SnapshotItem item;
  const base::Result<Connected>& cluster = context.cluster();
  item.ns = cluster ? cluster->ns : context.options().ns;
  item.vm = options.request.selection.names.front();
  item.name = options.request.name;
  item.outcome = backup::Outcome::failed;
  item.error = error;
  report.items.push_back(std::move(item));
  return true;
}

json::Value document_of(const Outcome& outcome, ExitCode code) {
  json::Value value = snapshot_report_value(outcome.report, code);
  if (!outcome.report.dry_run || !outcome.set) return value;
  json::Array plans;
  for (const backup::SnapshotPlan& plan : outcome.set->plans) plans.push_back(plan_value(plan));
  if (plans.size() == 1 && !outcome.set->plans.front().refusal) value.set("plan", plans.front());
  value.set("plans", std::move(plans));
  return value;
}

// The code of each item. What was not waited for is judged by its plan, and so is a dry run.
std::vector<ExitCode> codes_of(const SnapshotOptions& options, const Outcome& outcome, int signal) {
  std::vector<ExitCode> codes;
  const std::size_t planned = outcome.set ? outcome.set->plans.size() : 0;
  for (std::size_t i = 0; i < outcome.report.items.size(); ++i) {
    const backup::SnapshotItem& item = outcome.report.items[i];
    Judgement judgement{.allow_partial = options.allow_partial, .signal = signal, .require = options.take.require};
    if (i < planned && options.take.wait == backup::WaitFor::none) judgement.judge_complete = !outcome.set->plans[i].complete();
    if (i < planned && outcome.report.dry_run) judgement.best = outcome.set->plans[i].best;
    codes.push_back(exit_code_of(item, judgement));
  }
  return codes;
}

// What was passed over is neither good nor bad.
std::vector<ExitCode> codes_of_tried(const backup::SnapshotReport& report, const std::vector<ExitCode>& codes) {
  std::vector<ExitCode> tried;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (report.items[i].outcome != backup::Outcome::skipped) tried.push_back(codes[i]);
  }
  return tried;
}

void tell_ends(const backup::SnapshotReport& report, const std::vector<ExitCode>& codes, const std::optional<backup::Level>& require,
               Context& context) {
  std::set<std::string> told;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const backup::SnapshotItem& item = report.items[i];
    // What keeps one VM of a group from being taken is the error of all the others.
    const bool again = item.error && item.left.empty() && !told.insert(item.error->message()).second;
    if (!again) tell_end(context, item, codes[i], require);
  }
  if (!report.group || report.group->together) return;
  const bool taken = std::none_of(report.items.begin(), report.items.end(), [](const backup::SnapshotItem& item) { return item.error; });
  if (taken) context.console().warning("the group is not shown to be of one instant: " + base::join(report.group->reasons, "; "));
}

ExitCode run_snapshot(SnapshotOptions& options, Context& context) {
  if (!options.recipe_file.empty()) {
    base::Result<backup::Recipe> recipe = backup::load_recipe(options.recipe_file);
    if (!recipe) return context.fail(recipe.error());
    options.request.recipe = std::move(*recipe);
  }
  if (const base::Result<void> can = check_metrics_file(options.metrics_file); !can) return context.fail(can.error());
  if (backup::pauses(options.request.hold) && !options.yes && !context.in().terminal() && options.dry_run == DryRun::none) {
    return context.fail(base::Error(base::ErrorCode::usage,
                                    "a VM that is paused has no timer that would let it run again if this program were killed, and nobody "
                                    "is at a terminal here to see that",
                                    "add --yes, and run from time to time: kubectl vmbackup thaw --all"));
  }
  Outcome outcome = run(options, context);
  if (outcome.error && !add_unplanned(options, *outcome.error, context, outcome.report)) return context.fail(*outcome.error);
  outcome.report.completion_time = context.clock().wall_now();
  const std::vector<ExitCode> codes = codes_of(options, outcome, context.signal());
  ExitCode code = combine(codes_of_tried(outcome.report, codes));
  const std::optional<backup::GroupReport>& group = outcome.report.group;
  if (code == ExitCode::done && group && !group->together) code = ExitCode::weaker;
  const bool server = options.dry_run == DryRun::server;
  print_result(context, options.output,
               {.document = [&] { return document_of(outcome, code); },
                .text =
                    [&](bool wide) {
                      return outcome.report.dry_run && outcome.set ? plans_text(*outcome.set, outcome.report, server)
                                                                   : snapshot_report_text(outcome.report, wide);
                    },
                .names = [&] { return snapshot_names_text(outcome.report.items); }});
  write_metrics(context, options.metrics_file, outcome.report, codes, code);
  tell_ends(outcome.report, codes, options.take.require, context);
  context.console().result(document_of(outcome, code), static_cast<int>(code));
  return code;
}

Run bind(Flags& flags) {
  const std::shared_ptr<SnapshotOptions> options = std::make_shared<SnapshotOptions>();
  bind_snapshot(flags, *options);
  flags.check([options] { return check(*options); });
  return [options](Context& context) {
    // Nothing is followed, so nobody would let a guest go: KubeVirt holds it.
    if (options->take.wait == backup::WaitFor::none) options->request.hold = backup::HoldWish::controller;
    return run_snapshot(*options, context);
  };
}

}  // namespace

Command snapshot_command() {
  return {.name = "snapshot",
          .group = CommandGroup::protect,
          .summary = "Take snapshots of VMs, with a proven level of consistency",
          .description = k_description,
          .examples = {{"the VM db-0 in the namespace prod", "snapshot db-0 -n prod"},
                       {"look first: what would be in it, how consistent could it be, and would the server accept it?",
                        "snapshot db-0 -n prod --dry-run=server"},
                       {"all VMs of an application, two standing still at a time", "snapshot -n prod -l app=shop --parallel 2"},
                       {"the VMs of an application at one instant, all of them or none", "snapshot -n prod -l app=shop --group"},
                       {"for cron: fail with 3 where a file system may be torn, and keep no such snapshot",
                        "snapshot --all -n prod --require filesystem --delete-weaker --timeout 1h"},
                       {"one of four workers, which takes only what has no snapshot of the last 20 hours",
                        "snapshot --all -n prod --shard 1/4 --skip-if-newer 20h"},
                       {"quiesce a database first, and undo that whatever happens",
                        "snapshot db-0 -n prod --recipe mysql.yaml --require application"},
                       {"for a script: a report on stdout, an exit code to rely on", "snapshot db-0 -n prod -o json --timeout 10m"},
                       {"create it now, wait for it later", "snapshot db-0 -n prod --name db-0-nightly --wait none"},
                       {"from cron, watched by Prometheus", "snapshot db-0 -n prod --quiet --metrics-file ~/textfile/vmbackup.prom"},
                       {"before a risky change; forget --keep-label keep=true keeps it", "snapshot db-0 -n prod --label keep=true"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::weaker, ExitCode::mixed, ExitCode::deadline,
                         ExitCode::guest_held, ExitCode::busy, ExitCode::hung_up, ExitCode::interrupted, ExitCode::terminated},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
