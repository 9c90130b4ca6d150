// kubectl vmbackup freeze: hold guests still, for a while or around a command.
#include "backup/freeze.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "backup/run_id.hpp"
#include "base/command.hpp"
#include "base/text.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/freeze_view.hpp"
#include "cli/progress.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_description =
    "Freezes the file systems of running guests by their agents, so that a storage system can be told to take its own snapshot. Several "
    "VMs "
    "are held together: all are frozen, or none.\n"
    "\n"
    "With a command after \"--\" the guests are frozen, the command is run, and the guests are let go, whatever happens; that each is "
    "thawed "
    "is confirmed. The command gets a process group of its own, no terminal to read from, and in its environment VMBACKUP_VMS (the VMs, as "
    "namespace/name, separated by blanks), VMBACKUP_RUN, VMBACKUP_FROZEN_SINCE and VMBACKUP_SAFETY_UNTIL (RFC 3339). Its standard output "
    "is "
    "ours, and the report goes to standard error; with -o json, yaml or name it is the other way round.\n"
    "\n"
    "Without a command the guests stay frozen until \"thaw\" or until their safety timers: virt-launcher thaws a guest by itself --for "
    "after "
    "the freeze, trying once. The VM's lock (Lease vmbackup-VM) stays for that long and tells other runs.\n"
    "\n"
    "Before anything is sent it is checked that each VM runs, that its agent is connected and allows the commands, that you may freeze and "
    "thaw, and that nothing else is under way: a snapshot, restore, backup, migration, another freeze.\n"
    "\n"
    "What happens when this program dies: INT, TERM, HUP and QUIT end the command and let the guests go. A second signal does not hurry "
    "that, "
    "and Ctrl-Z is refused while a guest is held. After KILL or a power failure nobody lets go but the safety timer of each guest, so "
    "--for is "
    "the longest that it stands still. A guest whose agent refuses even that stays frozen: exit code 7 tells so while we live, and "
    "\"thaw --all\", run by cron, finds it afterwards.\n"
    "\n"
    "Exit code 3 means that the command ran, but that it cannot be said that every guest stood still until its end: it took longer than "
    "the "
    "safety timeout, or longer than the 10s that Windows holds, or somebody else thawed.";

struct Options {
  backup::Selection selection;
  std::chrono::seconds safety{60};
  bool group = true;
  std::optional<base::Duration> most;
  bool exit_from_command = false;
  std::vector<std::string> command;
  backup::LockOptions lock;
  bool probe = false;
  base::Duration timeout = std::chrono::minutes(5);
  DryRun dry_run = DryRun::none;
  OutputFormat output = OutputFormat::table;
};

std::string vms_text(const std::vector<kube::Name>& vms) {
  std::vector<std::string> names;
  for (const kube::Name& vm : vms) names.push_back(vm.ns + "/" + vm.name);
  return base::join(names, " ");
}

bool is_document(OutputFormat format) { return format != OutputFormat::table && format != OutputFormat::wide; }

// Runs the user's command in the window.
class CommandInWindow {
 public:
  CommandInWindow(const Options& options, Context& context, std::string run) : options_(options), context_(context), run_(std::move(run)) {}

  backup::CommandReport operator()(const backup::Standstill& window, const std::stop_token& stop) const {
    backup::CommandReport report;
    report.program = base::printable(options_.command.front(), 300);
    base::CommandOptions child{.argv = options_.command, .environment = context_.environment().variables};
    child.environment.push_back("VMBACKUP_VMS=" + vms_text(window.vms));
    child.environment.push_back("VMBACKUP_RUN=" + run_);
    child.environment.push_back("VMBACKUP_FROZEN_SINCE=" + base::format_time(window.frozen));
    child.environment.push_back("VMBACKUP_SAFETY_UNTIL=" + base::format_time(window.safety_until));
    child.input = !context_.in().terminal();
    child.output_to_error = is_document(options_.output);
    const base::TimePoint begin = context_.clock().now();
    const base::Deadline deadline = options_.most ? base::Deadline::after(context_.clock(), *options_.most) : base::Deadline::never();
    const base::Result<base::CommandEnd> end = base::run_command(child, context_.clock(), deadline, stop);
    report.seconds = base::to_seconds(context_.clock().now() - begin);
    if (!end) {
      report.given_up = true;
      report.why_given_up = end.error().message();
      return report;
    }
    report.exit_code = end->exit_code;
    report.given_up = end->given_up;
    if (end->given_up && !stop.stop_requested())
      report.why_given_up = "--max-freeze " + base::format_duration(*options_.most) + " was over";
    return report;
  }

 private:
  const Options& options_;
  Context& context_;
  const std::string run_;
};

ExitCode end(const Options& options, Context& context, const backup::FreezeReport& report) {
  const FreezeJudgement judgement{.signal = context.signal(), .exit_from_command = options.exit_from_command};
  return finish(context, report, exit_code_of(report, judgement), options.output, !options.command.empty());
}

ExitCode run_freeze(const Options& options, Context& context) {
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) return context.fail(cluster.error());
  backup::FreezeRequest request{options.selection, options.safety, options.group, options.lock, {}, options.probe};
  request.selection.ns = cluster->ns;
  request.run = backup::make_run_id(context.clock().wall_now(), context.random());
  request.lock.run = request.run;
  request.lock.host = context.environment().host;
  const base::Result<backup::FreezePlan> plan = backup::plan_freeze(*cluster->client, context.clock(), request, deadline, context.stop());
  if (!plan) return context.fail(plan.error());
  for (const std::string& warning : plan->warnings) context.console().warning(warning);
  for (const backup::GuestPlan& guest : plan->guests) {
    for (const std::string& warning : guest.warnings) {
      context.console().warning(guest.target.vm.ns + "/" + guest.target.vm.name + ": " + warning);
    }
  }
  if (plan->guests.empty() && !options.command.empty()) {
    return context.fail(base::Error(base::ErrorCode::not_found, "no running VM was chosen, so the command was not run"));
  }
  if (plan->guests.empty()) context.console().note("no running VM was chosen, nothing was frozen");
  if (options.dry_run != DryRun::none) {
    backup::FreezeReport report = backup::report_of(*plan);
    report.start_time = context.clock().wall_now();
    return end(options, context, report);
  }
  backup::FreezeReport report;
  {
    Progress progress(context.console(), context.clock(), context.ticking());
    const backup::Ground ground{*cluster->client, context.clock(), progress, context.debts()};
    report = options.command.empty()
                 ? backup::freeze_and_leave(ground, *plan, deadline, context.stop())
                 : backup::freeze_around(ground, *plan, CommandInWindow(options, context, request.run), deadline, context.stop());
  }
  return end(options, context, report);
}

// Whole seconds, as KubeVirt counts them.
SetText safety_into(std::chrono::seconds& target) {
  return [&target](const std::string& text) -> base::Result<void> {
    base::Duration length{};
    const char* k_zero = "without a safety timer a guest would stay frozen if this program died";
    base::Result<void> taken =
        duration_into(length, {.least = std::chrono::seconds(1),
                               .why_not_zero = k_zero,
                               .why_not_below = "KubeVirt counts whole seconds, so this would be 0, and no timer"})(text);
    if (!taken) return taken;
    if (length % std::chrono::seconds(1) != base::Duration::zero()) {
      return base::Error(base::ErrorCode::usage, "KubeVirt counts whole seconds", "write whole seconds, as in 90s");
    }
    if (length > std::chrono::hours(24)) return base::Error(base::ErrorCode::usage, "the longest is 24h");
    target = std::chrono::duration_cast<std::chrono::seconds>(length);
    return {};
  };
}

void bind_window(Flags& flags, Options& options) {
  flags.add(Flag{.name = "for",
                 .metavar = "DURATION",
                 .help = "safety timeout: the guest thaws by itself this long after the freeze",
                 .fallback = "60s",
                 .set = safety_into(options.safety)});
  flags.add(Flag{.name = "group",
                 .help = "several VMs are frozen together, all or none; --group=false: each for itself",
                 .fallback = "true",
                 .set = switch_into(options.group)});
  flags.add(Flag{.name = "max-freeze",
                 .metavar = "DURATION",
                 .help = "end the command after this long (TERM, 5s later KILL) and let the guests go",
                 .fallback = "none",
                 .set = [&options](const std::string& text) {
                   base::Duration length{};
                   base::Result<void> taken = duration_into(length, {.why_not_zero = "no command is done in no time"})(text);
                   if (taken) options.most = length;
                   return taken;
                 }});
  flags.add(Flag{.name = "exit-from-command",
                 .help = "a command that fails gives its own exit code, instead of 1; its 7 stays 1",
                 .set = switch_into(options.exit_from_command)});
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  bind_selection(flags, options->selection, "VMs to freeze");
  flags.add(Rest{.name = "COMMAND [ARG...]", .help = "run while the guests are frozen; no shell", .target = &options->command});
  bind_window(flags, *options);
  flags.add(
      choice<bool>({.name = "probe",
                    .metavar = "HOW",
                    .help = "live: ask the guest's agent itself, in its launcher pod, after the freeze, once a second, and before the "
                            "thaw; needs the rights to list pods and to exec in them",
                    .fallback = "none"},
                   options->probe, {{"none", false}, {"live", true}}));
  bind_lock(flags, options->lock);
  bind_timeout(flags, options->timeout);
  bind_dry_run(flags, options->dry_run, false);
  bind_output(flags, options->output,
              {OutputFormat::table, OutputFormat::wide, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
  flags.check([options]() -> base::Result<void> {
    const bool around = !options->command.empty();
    if (around && !options->group) {
      return base::Error(base::ErrorCode::usage, "--group=false cannot be used with a command, which needs all guests to stand still");
    }
    if (!around && options->most) {
      return base::Error(base::ErrorCode::usage, "--max-freeze was given without a command", "to freeze for a while, use --for");
    }
    if (!around && options->exit_from_command) {
      return base::Error(base::ErrorCode::usage, "--exit-from-command was given without a command", "write it behind: -- COMMAND [ARG...]");
    }
    return {};
  });
  return [options](Context& context) { return run_freeze(*options, context); };
}

}  // namespace

Command freeze_command() {
  return {
      .name = "freeze",
      .group = CommandGroup::protect,
      .summary = "Freeze guests, for a while or around a command",
      .description = k_description,
      .examples = {{"freeze the VMs of an application together, let the storage array take its snapshot, thaw",
                    "freeze -n prod -l app=shop -- array-snapshot volume-7"},
                   {"freeze for at most ten seconds, whatever happens to this program", "freeze db-0 -n prod --for 10s -- sync-replica"},
                   {"with the agent's own word that it stood still to the end",
                    "freeze db-0 -n prod --probe live -- array-snapshot volume-7"},
                   {"freeze now; thaw later, or let the timer do it", "freeze db-0 -n prod --for 90s"},
                   {"what would be done, and what stands in the way", "freeze -n prod -l app=shop --dry-run"}},
      .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::weaker, ExitCode::mixed, ExitCode::deadline,
                     ExitCode::guest_held, ExitCode::busy, ExitCode::hung_up, ExitCode::interrupted, ExitCode::terminated},
      .needs = Needs::cluster,
      .bind = bind};
}

}  // namespace vmbackup::cli
