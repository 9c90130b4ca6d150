// kubectl vmbackup delete: remove snapshots, after saying what goes with them.
#include <memory>
#include <optional>
#include <utility>

#include "backup/inventory.hpp"
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
    "Deletes VirtualMachineSnapshots and waits until they and what belongs to them are gone. With the deletion policy Delete the content "
    "and "
    "its VolumeSnapshots go as well; with any other policy they stay, and are named. It looks first, says what will be deleted and asks; "
    "without a terminal to ask at it wants --yes. A snapshot that was replaced under its name since then is not touched. One that a "
    "restore that is not complete, an export or a clone still reads is refused, unless --force is given.";

struct Options {
  std::vector<std::string> snapshots;
  bool yes = false;
  bool wait = true;
  bool ignore_not_found = false;
  bool force = false;
  base::Duration timeout = std::chrono::minutes(5);
  DryRun dry_run = DryRun::none;
  OutputFormat output = OutputFormat::table;
};

// One snapshot on its way: no plan means that it ended before anything was sent.
struct Entry {
  backup::DeleteItem item;
  std::optional<backup::DeletePlan> plan;
};

base::Error in_use(const backup::DeletePlan& plan) {
  return base::Error(base::ErrorCode::conflict,
                     "VirtualMachineSnapshot " + plan.name.ns + "/" + plan.name.name + " is in use; it was not deleted",
                     "wait until that has ended, remove it, or delete all the same with --force")
      .with_causes(plan.item.users);
}

Entry look_at(const Options& options, Context& context, const std::string& name, const base::Deadline& deadline) {
  Entry entry;
  entry.item.name = name;
  entry.item.ns = context.options().ns;
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) {
    entry.item.error = cluster.error();
    return entry;
  }
  entry.item.ns = cluster->ns;
  const base::Result<backup::DeletePlan> plan = backup::plan_delete(*cluster->client, {cluster->ns, name}, deadline, context.stop());
  if (plan && plan->in_use && !options.force) {
    entry.item = plan->item;
    entry.item.error = in_use(*plan);
    entry.item.outcome = backup::Outcome::failed;
  } else if (plan) {
    entry.plan = *plan;
    entry.item = plan->item;
    if (!plan->in_use) {
      for (const std::string& user : plan->item.users)
        context.console().warning("whether something uses " + name + " is not known: " + user);
    }
  } else if (plan.error().code() == base::ErrorCode::not_found && options.ignore_not_found) {
    entry.item.outcome = backup::Outcome::skipped;
  } else {
    entry.item.error = plan.error();
  }
  return entry;
}

std::vector<backup::DeleteItem> items_of(const std::vector<Entry>& entries) {
  std::vector<backup::DeleteItem> items;
  items.reserve(entries.size());
  for (const Entry& entry : entries) items.push_back(entry.item);
  return items;
}

// True when the person at the terminal says yes.
bool confirmed(Context& context, const std::vector<Entry>& entries) {
  std::size_t count = 0;
  for (const Entry& entry : entries) count += entry.plan ? 1 : 0;
  context.console().block("This will happen in the cluster:\n" + delete_plan_text(items_of(entries)) + "Delete " +
                          (count == 1 ? "this snapshot" : "these " + std::to_string(count) + " snapshots") + "? [y/N] ");
  const std::optional<std::string> answer = context.in().read_line(context.stop());
  if (!answer) context.console().block("\n");
  const std::string word(base::trim(answer.value_or("")));
  return word == "y" || word == "Y" || word == "yes";
}

std::string report_text(const backup::DeleteReport& report) {
  if (!report.dry_run) return delete_report_text(report);
  const std::string plan = delete_plan_text(report.items);
  return plan.empty() ? plan : "Nothing was changed. This would happen in the cluster:\n" + plan;
}

ExitCode finish(const Options& options, Context& context, const std::vector<Entry>& entries) {
  const backup::DeleteReport report{.dry_run = options.dry_run != DryRun::none, .items = items_of(entries)};
  const ExitCode code = exit_code_of(report, context.signal());
  const auto names = [&] {
    std::string out;
    for (const backup::DeleteItem& item : report.items) {
      if (!item.error && item.outcome != backup::Outcome::skipped) out += typed_snapshot_name(item.name) + '\n';
    }
    return out;
  };
  print_result(
      context, options.output,
      {.document = [&] { return delete_report_value(report, code); }, .text = [&](bool) { return report_text(report); }, .names = names});
  for (const backup::DeleteItem& item : report.items) tell_end(context, item);
  context.console().result(delete_report_value(report, code), static_cast<int>(code));
  return code;
}

ExitCode run_delete(const Options& options, Context& context) {
  const bool asks = !options.yes && options.dry_run == DryRun::none;
  if (asks && (!context.can_ask() || context.console().style() == ProgressStyle::json)) {
    return context.fail(base::Error(base::ErrorCode::usage, "delete asks before it deletes, and there is no terminal to ask at",
                                    "add --yes, or look first with --dry-run"));
  }
  const base::Deadline look_deadline = base::Deadline::after(context.clock(), options.timeout);
  std::vector<Entry> entries;
  bool any = false;
  for (const std::string& name : options.snapshots) {
    entries.push_back(look_at(options, context, name, look_deadline));
    any = any || entries.back().plan;
  }
  if (!any || options.dry_run != DryRun::none) return finish(options, context, entries);
  if (asks && !confirmed(context, entries)) {
    if (context.stop().stop_requested()) return context.fail(base::Error(base::ErrorCode::cancelled, "interrupted; nothing was deleted"));
    return context.fail(base::Error(base::ErrorCode::usage, "not confirmed; nothing was deleted"));
  }
  // The time in which a person thinks does not count.
  const base::Deadline deadline = asks ? base::Deadline::after(context.clock(), options.timeout) : look_deadline;
  for (Entry& entry : entries) {
    if (!entry.plan) continue;
    Progress progress(context.console(), context.clock(), context.ticking());
    entry.item =
        backup::delete_snapshot(*context.cluster()->client, context.clock(), progress, *entry.plan, options.wait, deadline, context.stop());
  }
  return finish(options, context, entries);
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Argument{.name = "SNAPSHOT",
                     .help = "snapshots, as NAME or vmsnapshot/NAME",
                     .many = true,
                     .names = Names::snapshot,
                     .add = names_into(options->snapshots, Names::snapshot)});
  bind_yes(flags, options->yes);
  flags.add(Flag{.name = "wait",
                 .help = "wait until everything is gone; --wait=false returns once the server has taken the request",
                 .fallback = "true",
                 .set = switch_into(options->wait)});
  flags.add(Flag{
      .name = "ignore-not-found", .help = "a snapshot that does not exist is no error", .set = switch_into(options->ignore_not_found)});
  flags.add(
      Flag{.name = "force", .help = "delete also what a restore, an export or a clone still reads", .set = switch_into(options->force)});
  bind_timeout(flags, options->timeout);
  bind_dry_run(flags, options->dry_run, false);
  bind_output(flags, options->output, {OutputFormat::table, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
  return [options](Context& context) { return run_delete(*options, context); };
}

}  // namespace

Command delete_command() {
  return {.name = "delete",
          .group = CommandGroup::keep,
          .summary = "Delete snapshots and wait until they are gone",
          .description = k_description,
          .examples = {{"see what would go", "delete db-0-nightly -n prod --dry-run"},
                       {"from a script", "delete db-0-nightly db-1-nightly -n prod --yes --ignore-not-found"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::mixed, ExitCode::deadline, ExitCode::busy,
                         ExitCode::hung_up, ExitCode::interrupted, ExitCode::terminated},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
