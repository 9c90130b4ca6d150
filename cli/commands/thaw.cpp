// kubectl vmbackup thaw: let guests go that stand still.
#include "backup/thaw.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "backup/run_id.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/freeze_view.hpp"
#include "cli/progress.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_description =
    "Lets guests go that are frozen, or that this tool has paused, and confirms it: an unfreeze that answered well asked the agent itself. "
    "It "
    "is tried again until that, or for 75s, and then exit code 7 says that the guest may still be frozen.\n"
    "\n"
    "VMs that are named are thawed whoever froze them; a guest that is not frozen is not changed by that. With --all or -l it is a "
    "sweeper, "
    "safe in cron: it lets go only what this tool holds and whose run has died. A run is known by its Lease vmbackup-VM: it has died when "
    "that "
    "stands unchanged for its own length (30s; for a guest left frozen by \"freeze\", its safety timeout) while we look, so the sweeper "
    "may "
    "wait that long. Guests that others froze are listed and left alone, unless --force is given. Nothing to thaw is no failure.\n"
    "\n"
    "A VM with a snapshot in progress is left alone, unless --force is given: KubeVirt thaws it at the end, and a thaw now would tear the "
    "snapshot without a trace in its status.\n"
    "\n"
    "KubeVirt does not record when a guest was frozen. --older-than counts from the creation of the Lease, so it never takes in a guest "
    "that "
    "somebody else froze.";

struct Options {
  backup::Selection selection;
  bool force = false;
  std::optional<base::Duration> older_than;
  base::Duration timeout = std::chrono::minutes(5);
  DryRun dry_run = DryRun::none;
  OutputFormat output = OutputFormat::table;
};

ExitCode end(const Options& options, Context& context, const backup::FreezeReport& report) {
  return finish(context, report, exit_code_of(report, FreezeJudgement{.signal = context.signal()}), options.output, false);
}

ExitCode run_thaw(const Options& options, Context& context) {
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) return context.fail(cluster.error());
  backup::ThawRequest request{options.selection, options.force, options.older_than, {}};
  request.selection.ns = cluster->ns;
  request.run = backup::make_run_id(context.clock().wall_now(), context.random());
  const base::Result<backup::ThawPlan> plan = backup::plan_thaw(*cluster->client, context.clock(), request, deadline, context.stop());
  if (!plan) return context.fail(plan.error());
  if (plan->no_leases) {
    context.console().warning("leases may not be read, so it is not known which guests this tool holds: " + plan->no_leases->message());
  }
  if (plan->items.empty()) context.console().note("nothing is frozen");
  if (options.dry_run != DryRun::none) {
    backup::FreezeReport report = backup::report_of(*plan);
    report.start_time = context.clock().wall_now();
    return end(options, context, report);
  }
  if (context.stop().stop_requested()) {
    return context.fail(base::Error(base::ErrorCode::cancelled, "interrupted; nothing was thawed"));
  }
  backup::FreezeReport report;
  {
    Progress progress(context.console(), context.clock(), context.ticking());
    report = backup::thaw_guests({*cluster->client, context.clock(), progress, context.debts()}, *plan);
  }
  return end(options, context, report);
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  bind_selection(flags, options->selection, "VMs to thaw");
  flags.add(Flag{.name = "older-than",
                 .metavar = "DURATION",
                 .help = "with --all or -l: only guests that have been held for at least this long",
                 .set = [options](const std::string& text) {
                   base::Duration length{};
                   base::Result<void> taken = duration_into(length, {.why_not_zero = "leave it out to take in all"})(text);
                   if (taken) options->older_than = length;
                   return taken;
                 }});
  flags.add(Flag{.name = "force",
                 .help = "also guests that others froze, or that a run under way holds, and in the middle of a snapshot",
                 .set = switch_into(options->force)});
  bind_timeout(flags, options->timeout);
  bind_dry_run(flags, options->dry_run, false);
  bind_output(flags, options->output,
              {OutputFormat::table, OutputFormat::wide, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
  flags.check([options]() -> base::Result<void> {
    if (options->older_than && !options->selection.names.empty()) {
      return base::Error(base::ErrorCode::usage, "--older-than was given with VMs that are named", "use it with --all or -l");
    }
    return {};
  });
  return [options](Context& context) { return run_thaw(*options, context); };
}

}  // namespace

Command thaw_command() {
  return {.name = "thaw",
          .group = CommandGroup::protect,
          .summary = "Thaw guests and confirm it",
          .description = k_description,
          .examples = {{"thaw one VM, whoever froze it", "thaw db-0 -n prod"},
                       {"from cron: let go what a dead run of this tool has left frozen, anywhere", "thaw --all -A --older-than 5m"},
                       {"what is frozen, and by whom", "thaw --all -A --dry-run"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::mixed, ExitCode::deadline, ExitCode::guest_held,
                         ExitCode::busy, ExitCode::hung_up, ExitCode::interrupted, ExitCode::terminated},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
