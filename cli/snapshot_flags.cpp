#include "cli/snapshot_flags.hpp"

#include <cstdint>
#include <optional>
#include <utility>

#include "backup/run_id.hpp"
#include "backup/snapshot_group.hpp"
#include "cli/metrics.hpp"
#include "cli/names.hpp"

namespace vmbackup::cli {
namespace {

void bind_hold(Flags& flags, SnapshotOptions& options) {
  using Wish = backup::HoldWish;
  Flag hold = choice<Wish>(
      {.name = "hold", .metavar = "HOW", .help = "who makes a running guest stand still while its disks are cut", .fallback = "auto"},
      options.request.hold,
      {{"auto", Wish::automatic},
       {"controller", Wish::controller},
       {"freeze", Wish::freeze},
       {"pause", Wish::pause},
       {"freeze+pause", Wish::freeze_pause}});
  flags.add(std::move(hold));
  flags.add(Flag{.name = "max-freeze",
                 .metavar = "DURATION",
                 .help = "a guest that we froze and whose disks are not cut by then is let go, and its snapshot deleted",
                 .fallback = "60s; 10s for Windows, which thaws by itself then",
                 .set = [&options](const std::string& text) {
                   base::Duration length{};
                   base::Result<void> taken = duration_into(length, {.why_not_zero = "no disk is cut in no time"})(text);
                   if (!taken) return taken;
                   if (length > std::chrono::hours(1)) {
                     return base::Result<void>(
                         base::Error(base::ErrorCode::usage, "the longest is 1h: a guest stands still all that time"));
                   }
                   options.request.max_freeze = length;
                   return taken;
                 }});
  flags.add(
      choice<bool>({.name = "probe",
                    .metavar = "HOW",
                    .help = "live: ask the agent of a guest that we froze itself, in its launcher pod, once a second; needs the rights to "
                            "list pods and to exec in them",
                    .fallback = "none"},
                   options.request.probe, {{"none", false}, {"live", true}}));
  flags.add(Flag{
      .name = "accept-raw",
      .metavar = "DISK",
      .help = "this disk needs no file system, so that a freeze counts although it does not reach the disk; may be given more than once; "
              "persistent-state-for-this-vm: the state of TPM and firmware, of each VM",
      .repeats = true,
      .set = [&options](const std::string& text) -> base::Result<void> {
        options.request.accept_raw.push_back(text);
        return {};
      }});
}

void bind_recipe(Flags& flags, SnapshotOptions& options) {
  flags.add(Flag{.name = "recipe",
                 .metavar = "FILE",
                 .help = "quiesce the applications of each running VM by these steps, see kubectl-vmbackup-recipe(5)",
                 .excludes = {"recipe-from-cluster"},
                 .set = text_into(options.recipe_file)});
  flags.add(Flag{.name = "recipe-from-cluster",
                 .help = "use the recipe that a VM's annotation kubectl-vmbackup/recipe names: steps in that guest alone",
                 .set = switch_into(options.request.recipe_from_cluster)});
}

void bind_level(Flags& flags, SnapshotOptions& options) {
  Choices<std::optional<backup::Level>> levels;
  for (const backup::Level level : backup::all_levels()) levels.emplace_back(to_string(level), level);
  flags.add(choice<std::optional<backup::Level>>(
      {.name = "require", .metavar = "LEVEL", .help = "exit with 3 where a snapshot is weaker than this", .fallback = "none"},
      options.take.require, std::move(levels)));
  flags.add(Flag{
      .name = "delete-weaker", .help = "delete a snapshot that is weaker than --require", .set = switch_into(options.take.delete_weaker)});
  bind_allow_partial(flags, options.allow_partial);
}

void bind_many(Flags& flags, SnapshotOptions& options) {
  flags.add(Flag{.name = "parallel",
                 .metavar = "N",
                 .help = "at most so many VMs at a time are held, or have disks that are not cut yet; of many VMs fewer, "
                         "where each would stand still for longer by it",
                 .fallback = "4",
                 .set = count_into(options.take.parallel, 1, backup::k_most_held)});
  flags.add(Flag{.name = "retry",
                 .metavar = "N",
                 .help =
                     "try VMs whose snapshot failed again, up to N times, after all others and within --timeout; each try has a name of "
                     "its own, which ends in -2, -3 and so on",
                 .fallback = "0",
                 .set = count_into(options.retries, 0, 10)});
  flags.add(Flag{.name = "group",
                 .help = "hold all VMs together before the first snapshot is created; what fails for one before all are cut fails for all, "
                         "and their snapshots are deleted",
                 .excludes = {"shard", "skip-if-newer", "run", "parallel"},
                 .set = switch_into(options.request.group)});
  flags.add(Flag{.name = "max-held",
                 .metavar = "N",
                 .help = "no more VMs than this stand still at once, whatever --parallel says; a larger --group is refused",
                 .fallback = "20",
                 .set = count_into(options.request.max_held, 1, backup::k_most_held)});
  flags.add(Flag{
      .name = "shard",
      .metavar = "I/N",
      .help = "only part I of N of the VMs, from 1; a VM is always in the same part, so that the pods of an Indexed Job share the work",
      .set = [&options](const std::string& text) -> base::Result<void> {
        const std::size_t slash = text.find('/');
        std::size_t number = 0;
        std::size_t of = 0;
        const bool good = slash != std::string::npos && count_into(of, 1, 10000)(text.substr(slash + 1)).ok() &&
                          count_into(number, 1, of)(text.substr(0, slash)).ok();
        if (!good) return base::Error(base::ErrorCode::usage, "not a part of a whole", "write 1/4 for the first of four parts");
        options.request.shard = backup::Shard{static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(of)};
        return {};
      }});
  flags.add(Flag{.name = "skip-if-newer",
                 .metavar = "DURATION",
                 .help = "pass over a VM that has a snapshot, ready to use, that is not older than this by the server's clock",
                 .set = [&options](const std::string& text) {
                   base::Duration length{};
                   base::Result<void> taken = duration_into(length, {.why_not_zero = "leave the flag out to skip none"})(text);
                   if (taken) options.request.skip_if_newer = length;
                   return taken;
                 }});
  flags.add(Flag{.name = "run",
                 .metavar = "ID",
                 .help = "take up the run with this id: the same VMs get the same names, and what exists already is kept",
                 .set = [&options](const std::string& text) -> base::Result<void> {
                   if (!backup::is_run_id(text)) {
                     return base::Error(base::ErrorCode::usage, "it is no id of a run",
                                        "an id looks like 20260102-030405-x7k2; list -o wide shows them");
                   }
                   options.request.run = text;
                   options.request.resumes = true;
                   return {};
                 }});
}

}  // namespace

base::Result<void> check(const SnapshotOptions& options) {
  const auto refuse = [](const std::string& why, const std::string& hint) { return base::Error(base::ErrorCode::usage, why, hint); };
  const bool unwatched = options.take.wait == backup::WaitFor::none;
  if (unwatched && backup::insists(options.request.hold)) {
    return refuse("--wait none was given with a --hold of ours: nobody would let the guest go", "wait for the cuts with --wait cut");
  }
  if (unwatched && (!options.recipe_file.empty() || options.request.recipe_from_cluster)) {
    return refuse("--wait none was given with a recipe: nobody would run its releases", "wait for the cuts with --wait cut");
  }
  if (unwatched && options.take.require) {
    return refuse("--wait none was given with --require: a level is only known once the disks are cut",
                  "wait for the cuts with --wait cut");
  }
  if (options.request.group && (unwatched || options.request.hold == backup::HoldWish::controller)) {
    return refuse(std::string("--group was given with ") + (unwatched ? "--wait none" : "--hold controller") +
                      ": only this program can hold several guests together",
                  "leave --hold away, or use --hold freeze+pause");
  }
  if (options.request.group && options.take.delete_weaker) {
    return refuse("--group was given with --delete-weaker: a group without one of its snapshots is none",
                  "look at the exit code, 3 where it is weaker than asked, and delete all of it");
  }
  if (options.take.delete_weaker && !options.take.require) {
    return refuse("--delete-weaker was given without --require", "say what is strong enough: --require filesystem");
  }
  const bool no_freeze = unwatched || options.request.hold == backup::HoldWish::controller;
  if (no_freeze && (options.request.max_freeze || options.request.probe)) {
    return refuse(
        std::string(options.request.max_freeze ? "--max-freeze" : "--probe live") + " is for a guest that we freeze, and none would be",
        "leave it away, or use --hold freeze with --wait cut or ready");
  }
  if (!options.request.name.empty() && (options.request.selection.all || !options.request.selection.label_selector.empty())) {
    return refuse("--name is for the snapshot of one VM", "leave --name away: each snapshot is named after its VM and the run");
  }
  return {};
}

void bind_snapshot(Flags& flags, SnapshotOptions& options) {
  bind_selection(flags, options.request.selection, "VMs to take a snapshot of");
  flags.add(Flag{.name = "name",
                 .metavar = "NAME",
                 .help = "name of the snapshot, for one VM; without it the VM's name and the id of the run",
                 .set = name_into(options.request.name, Names::snapshot)});
  flags.add(choice<backup::WaitFor>(
      {.name = "wait",
       .metavar = "UNTIL",
       .help = "what to wait for; cut: all disks are cut and KubeVirt calls it Succeeded; ready: it can be restored "
               "as well; none: only create it, no level is known then",
       .fallback = "ready"},
      options.take.wait, {{"ready", backup::WaitFor::ready}, {"cut", backup::WaitFor::cut}, {"none", backup::WaitFor::none}}));
  bind_timeout(flags, options.timeout);
  bind_wait_on_error(flags, options.take.wait_on_error);
  bind_hold(flags, options);
  bind_recipe(flags, options);
  bind_level(flags, options);
  bind_many(flags, options);
  bind_failure_deadline(flags, options.request.failure_deadline);
  flags.add(choice<std::string>({.name = "deletion-policy",
                                 .metavar = "POLICY",
                                 .help = "what becomes of the content when the snapshot object is deleted",
                                 .fallback = "Delete, by KubeVirt"},
                                options.request.deletion_policy, {{"Delete", "Delete"}, {"Retain", "Retain"}}));
  bind_labels(flags, options.request.labels);
  bind_metrics_file(flags, options.metrics_file);
  flags.add(Flag{.name = "no-events",
                 .help = "write no Event (SnapshotSucceeded, SnapshotFailed) on the VM; where you may not, none is written anyway",
                 .set = [&options](const std::string& text) -> base::Result<void> {
                   options.take.events = text != "true";
                   return {};
                 }});
  flags.add(Flag{.name = "force",
                 .help = "create a snapshot also where it can never succeed as things are: KubeVirt waits for a mend",
                 .set = switch_into(options.request.force)});
  bind_lock(flags, options.take.lock);
  bind_yes(flags, options.yes);
  bind_dry_run(flags, options.dry_run, true);
  bind_output(flags, options.output, {OutputFormat::table, OutputFormat::wide, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
}

}  // namespace vmbackup::cli
