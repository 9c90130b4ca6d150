// kubectl vmbackup forget: remove the snapshots that no rule keeps.
#include "backup/forget.hpp"

#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "base/text.hpp"
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
    "Deletes the snapshots that no rule keeps, after showing each with the decision and its reason. The rules are those of restic and work "
    "on each VM of each namespace by itself (by UID, so a VM made anew under an old name is another one): --keep-daily 7 keeps the newest "
    "of "
    "each of the last seven days that have any. A snapshot stays if any rule keeps it. Days, weeks (from Monday), months and years are "
    "those of UTC; all times are the API server's.\n"
    "\n"
    "Never deleted, whatever the rules say: of each VM the last snapshot at or above --keep-level, and the last complete one; one that a "
    "restore, an export or a clone may still read (if these may not be listed, all may be read, and nothing goes); one that is not "
    "finished "
    "or "
    "not ready to use; those of a VM that is gone, without --vm-gone; failed ones, without --failed-older-than; those that this tool did "
    "not "
    "make, without --all-tools. Only good snapshots (Succeeded and ready to use) count for the rules.\n"
    "\n"
    "It asks before it deletes; without a terminal to ask at it wants --yes. A snapshot that was replaced under its name since it was "
    "looked at is not touched. A second run with the same rules finds nothing to do.";

struct Options {
  backup::ForgetRequest request;
  bool all_namespaces = false;
  bool yes = false;
  bool wait = true;
  base::Duration timeout = std::chrono::minutes(30);
  DryRun dry_run = DryRun::none;
  OutputFormat output = OutputFormat::table;
};

SetText count_into(std::optional<std::uint32_t>& target) {
  return [&target](const std::string& text) -> base::Result<void> {
    std::uint32_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (text == "unlimited") {
      target = backup::k_keep_all;
    } else if (error != std::errc() || end != text.data() + text.size() || count == backup::k_keep_all) {
      return base::Error(base::ErrorCode::usage, "not a number of snapshots", "write a whole number from 1, or unlimited");
    } else if (count == 0) {
      return base::Error(base::ErrorCode::usage, "0 keeps nothing", "leave the flag out where its rule is to keep nothing");
    } else {
      target = count;
    }
    return {};
  };
}

// A day as a unit, which Go's durations do not have: "7d", "4w" beside "36h".
SetText age_into(std::optional<base::Duration>& target) {
  return [&target](const std::string& text) -> base::Result<void> {
    std::uint32_t count = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, count);
    if (error == std::errc() && last - end == 1 && (*end == 'd' || *end == 'w') && count > 0 && count <= 36500) {
      target = std::chrono::hours(24) * count * (*end == 'w' ? 7 : 1);
      return {};
    }
    base::Duration parsed{};
    base::Result<void> taken =
        duration_into(parsed, {.least = base::Duration(1), .why_not_zero = "no time at all", .why_not_below = ""})(text);
    if (!taken) return base::Error(base::ErrorCode::usage, taken.error().message(), "write a number with a unit: 36h, 7d, 4w");
    target = parsed;
    return {};
  };
}

SetText label_into(std::vector<std::pair<std::string, std::string>>& target) {
  return [&target](const std::string& text) -> base::Result<void> {
    const std::size_t equals = text.find('=');
    const std::string key = text.substr(0, equals);
    const bool valid = !key.empty() && key.find_first_of(" \t!,()") == std::string::npos;
    if (!valid) return base::Error(base::ErrorCode::usage, "not a label", "write KEY or KEY=VALUE; repeat the flag for more");
    target.emplace_back(key, equals == std::string::npos ? "" : text.substr(equals + 1));
    return {};
  };
}

ExitCode finish(const Options& options, Context& context, const backup::ForgetReport& report) {
  const ExitCode code = exit_code_of(report, context.signal());
  print_result(context, options.output,
               {.document = [&] { return forget_report_value(report, code); },
                .text = [&](bool) { return forget_report_text(report, options.all_namespaces); },
                .names = [&] { return forget_names_text(report); }});
  for (const backup::ForgetItem& item : report.items) tell_end(context, item.item);
  context.console().result(forget_report_value(report, code), static_cast<int>(code));
  return code;
}

// True when the person at the terminal says yes.
bool confirmed(Context& context, const Options& options, const backup::ForgetPlan& plan) {
  const std::string these = plan.plans.size() == 1 ? "this snapshot" : "these " + std::to_string(plan.plans.size()) + " snapshots";
  context.console().block(forget_report_text(plan.report, options.all_namespaces) + "Forget " + these + "? [y/N] ");
  const std::optional<std::string> answer = context.in().read_line(context.stop());
  if (!answer) context.console().block("\n");
  const std::string word(base::trim(answer.value_or("")));
  return word == "y" || word == "Y" || word == "yes";
}

ExitCode run_forget(const Options& options, Context& context) {
  const bool asks = !options.yes && options.dry_run == DryRun::none;
  if (asks && (!context.can_ask() || context.console().style() == ProgressStyle::json)) {
    return context.fail(base::Error(base::ErrorCode::usage, "forget asks before it deletes, and there is no terminal to ask at",
                                    "add --yes, or look first with --dry-run"));
  }
  const base::Deadline look_deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) return context.fail(cluster.error());
  backup::ForgetRequest request = options.request;
  if (!options.all_namespaces) request.ns = cluster->ns;
  base::Result<backup::ForgetPlan> plan = backup::plan_forget(*cluster->client, context.clock(), request, look_deadline, context.stop());
  if (!plan) return context.fail(plan.error());
  for (const std::string& warning : plan->warnings) context.console().warning(warning);
  plan->report.dry_run = options.dry_run != DryRun::none;
  if (plan->report.items.empty())
    context.console().note(std::string("no snapshots") + (options.all_namespaces ? " in any namespace" : " in namespace " + cluster->ns));
  if (plan->plans.empty() || plan->report.dry_run) return finish(options, context, plan->report);
  if (asks && !confirmed(context, options, *plan)) {
    if (context.stop().stop_requested()) return context.fail(base::Error(base::ErrorCode::cancelled, "interrupted; nothing was deleted"));
    return context.fail(base::Error(base::ErrorCode::usage, "not confirmed; nothing was deleted"));
  }
  // The time in which a person thinks does not count.
  const base::Deadline deadline = asks ? base::Deadline::after(context.clock(), options.timeout) : look_deadline;
  Progress progress(context.console(), context.clock(), context.ticking());
  return finish(options, context,
                backup::carry_out(*cluster->client, context.clock(), progress, *plan, options.wait, deadline, context.stop()));
}

void bind_rules(Flags& flags, backup::RetentionRules& rules) {
  const auto count = [&flags](const char* name, const char* what, std::optional<std::uint32_t>& target) {
    flags.add(Flag{.name = name, .metavar = "N", .help = what, .set = count_into(target)});
  };
  count("keep-last", "keep the last N of each VM; here and below also: unlimited", rules.last);
  count("keep-hourly", "keep the newest of each of the last N hours that have any", rules.hourly);
  count("keep-daily", "the same for days", rules.daily);
  count("keep-weekly", "the same for weeks", rules.weekly);
  count("keep-monthly", "the same for months", rules.monthly);
  count("keep-yearly", "the same for years", rules.yearly);
  flags.add(Flag{.name = "keep-within",
                 .metavar = "DURATION",
                 .help = "keep all that are at most that much older than the newest of their VM: 36h, 7d, 4w",
                 .set = age_into(rules.within)});
  flags.add(Flag{.name = "keep-label",
                 .metavar = "KEY[=VALUE]",
                 .help = "keep those with this label; may be repeated",
                 .repeats = true,
                 .set = label_into(rules.labels)});
  Choices<std::optional<backup::Level>> levels;
  for (const backup::Level level : backup::all_levels()) levels.emplace_back(to_string(level), level);
  flags.add(choice<std::optional<backup::Level>>({.name = "keep-level",
                                                  .metavar = "LEVEL",
                                                  .help = "never delete a VM's last snapshot at or above this level",
                                                  .fallback = "the strongest that the VM has"},
                                                 rules.level, levels));
  flags.add(Flag{.name = "failed-older-than",
                 .metavar = "DURATION",
                 .help = "delete failed snapshots too, once they are older than this",
                 .set = age_into(rules.failed_older_than)});
  flags.add(Flag{.name = "all-tools", .help = "also those that this tool did not make", .set = switch_into(rules.all_tools)});
  flags.add(Flag{.name = "vm-gone", .help = "apply the rules also to snapshots of VMs that are gone", .set = switch_into(rules.vm_gone)});
  flags.check([&rules]() -> base::Result<void> {
    if (rules.any_keep()) return {};
    return base::Error(base::ErrorCode::usage, "no --keep-* is given, so nothing would be kept",
                       "say what to keep, for example --keep-daily 7 --keep-weekly 4");
  });
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Argument{.name = "VM",
                     .help = "only the snapshots of these VMs, as NAME or vm/NAME",
                     .required = false,
                     .many = true,
                     .names = Names::virtual_machine,
                     .add = names_into(options->request.vms, Names::virtual_machine)});
  bind_rules(flags, options->request.rules);
  flags.add(Flag{.name = "selector",
                 .letter = 'l',
                 .metavar = "SELECTOR",
                 .help = "only the snapshots of VMs with these labels, as kubectl takes them",
                 .set = selector_into(options->request.selector)});
  bind_all_namespaces(flags, options->all_namespaces);
  bind_yes(flags, options->yes);
  flags.add(Flag{.name = "wait",
                 .help = "wait until everything is gone; --wait=false returns once the server has taken the requests",
                 .fallback = "true",
                 .set = switch_into(options->wait)});
  bind_timeout(flags, options->timeout);
  bind_dry_run(flags, options->dry_run, false);
  bind_output(flags, options->output, {OutputFormat::table, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
  return [options](Context& context) { return run_forget(*options, context); };
}

}  // namespace

Command forget_command() {
  return {.name = "forget",
          .group = CommandGroup::keep,
          .summary = "Delete the snapshots that no retention rule keeps",
          .description = k_description,
          .examples = {{"what would go?", "forget --keep-daily 7 --keep-weekly 4 -n prod --dry-run"},
                       {"from cron, for all namespaces", "forget -A --keep-last 3 --keep-daily 14 --failed-older-than 7d --yes"},
                       {"of one VM, those with a label stay", "forget db-0 -n prod --keep-last 5 --keep-label keep=true --yes"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::mixed, ExitCode::deadline, ExitCode::hung_up,
                         ExitCode::interrupted, ExitCode::terminated},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
