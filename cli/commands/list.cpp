// kubectl vmbackup list: the snapshots that exist.
#include <map>
#include <memory>
#include <utility>

#include "backup/listing.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/list_view.hpp"
#include "cli/names.hpp"
#include "cli/printers.hpp"
#include "cli/result.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_description =
    "Lists the VirtualMachineSnapshots of a namespace, of one VM, or of all namespaces, whoever made them; the oldest first. DISKS counts "
    "those in the snapshot against those that the VM can write. LEVEL is the level of consistency: computed from what was recorded while "
    "the snapshot was "
    "taken, or, marked as inferred, from what the objects alone can show; kubectl-vmbackup-levels(7) explains it. At a terminal AGE says "
    "how long ago a snapshot was created, elsewhere "
    "CREATED says when.\n"
    "\n"
    "SIZE, with -o wide or --sort-by size, is how large the volumes of a restore have to be, not the space that the snapshot takes up: the "
    "storage alone knows that. It comes from the VolumeSnapshots; where these may not be listed it is not known, and the reasons in -o "
    "json "
    "say why.\n"
    "\n"
    "With --watch it prints what is there, then one line for each change, first in it what happened: added, changed or gone; in JSON one "
    "document per line (kind SnapshotEvent). It goes on until it is interrupted, which ends with that signal's code, until the reader of "
    "its output goes away, or until --timeout has passed, if one was given: both of these end with 0. A server that is away is waited for; "
    "if it is away at the end of --timeout, the exit code is 6.";

struct Options {
  std::string vm;
  bool all_namespaces = false;
  bool ignore_recorded = false;
  bool all_tools = true;
  bool watch = false;
  backup::SortBy sort_by = backup::SortBy::age;
  base::Duration timeout = std::chrono::minutes(2);
  bool timeout_given = false;
  OutputFormat output = OutputFormat::table;
};

bool shows_sizes(const Options& options) { return options.output == OutputFormat::wide || options.sort_by == backup::SortBy::size; }

backup::ListRequest request_of(const Options& options, const Connected& cluster) {
  const bool document = options.output == OutputFormat::json || options.output == OutputFormat::yaml;
  return {.ns = options.all_namespaces ? "" : cluster.ns,
          .vm = options.vm,
          .ignore_recorded = options.ignore_recorded,
          .all_tools = options.all_tools,
          .sizes = document || shows_sizes(options),
          .sort_by = options.sort_by};
}

ListLook look_of(const Options& options, Context& context) {
  return {.wide = options.output == OutputFormat::wide,
          .sizes = options.sort_by == backup::SortBy::size,
          .namespaces = options.all_namespaces,
          .ages = context.out().terminal(),
          .now = context.clock().wall_now()};
}

void tell_what_is_missing(const Options& options, Context& context, const Connected& cluster,
                          const std::vector<backup::SnapshotItem>& items) {
  if (items.empty()) {
    const std::string whose = options.vm.empty() ? "" : " of VM " + options.vm;
    const std::string makers = options.all_tools ? "" : " made by this tool";
    context.console().note("no snapshots" + makers + whose +
                           (options.all_namespaces ? " in any namespace" : " in namespace " + cluster.ns));
    return;
  }
  if (!shows_sizes(options)) return;
  for (const std::string& reason : items.front().reasons) {
    if (reason.starts_with(backup::k_no_sizes)) context.console().note(reason);
  }
}

// Prints one line per change that shows.
class Follow {
 public:
  Follow(Context& context, const Options& options)
      : context_(context), json_(options.output == OutputFormat::json), list_(look_of(options, context)) {}

  void begin(const std::vector<backup::SnapshotItem>& items) {
    for (const backup::SnapshotItem& item : items) shown_[item.uid] = distinct(item);
    if (!json_) return context_.out().write(list_.begin(items));
    for (const backup::SnapshotItem& item : items) write("listed", item);
  }

  void take(const backup::ListChange& change) {
    using Kind = backup::ListChange::Kind;
    if (change.kind == Kind::gone) {
      shown_.erase(change.item.uid);
      return write("gone", change.item);
    }
    std::string& shown = shown_[change.item.uid];
    if (std::string now = distinct(change.item); now != shown) {
      shown = std::move(now);
      write(change.kind == Kind::added ? "added" : "changed", change.item);
    }
  }

 private:
  std::string distinct(const backup::SnapshotItem& item) const { return json_ ? json_line(snapshot_value(item)) : list_.distinct(item); }

  void write(const char* event, const backup::SnapshotItem& item) {
    const base::WallTime now = context_.clock().wall_now();
    context_.out().write(json_ ? json_line(snapshot_event_value(event, now, item)) : list_.row(event, item, now));
  }

  Context& context_;
  bool json_;
  RunningList list_;
  std::map<std::string, std::string> shown_;  // by UID
};

ExitCode watch_list(const Options& options, Context& context, const Connected& cluster) {
  const base::Deadline first = base::Deadline::after(context.clock(), options.timeout);
  backup::ListWatch watch(*cluster.client, context.clock(), request_of(options, cluster));
  const base::Result<std::vector<backup::SnapshotItem>> items = watch.begin(first, context.stop());
  if (!items) return context.fail(items.error());
  Follow follow(context, options);
  follow.begin(*items);
  tell_what_is_missing(options, context, cluster, *items);
  const base::Deadline deadline = options.timeout_given ? first : base::Deadline::never();
  while (!context.out().closed()) {
    const base::Result<backup::ListChange> change = watch.next(deadline, context.stop());
    if (change) {
      follow.take(*change);
      continue;
    }
    const base::Error& error = change.error();
    const bool over = error.code() == base::ErrorCode::timeout && error.causes().empty();
    const bool interrupted = error.code() == base::ErrorCode::cancelled && context.console().style() != ProgressStyle::json;
    if (interrupted) return exit_code_of(error, context.signal());
    if (!over) return context.fail(error);
    break;
  }
  context.console().result(snapshot_list_value(watch.items()), 0);
  return ExitCode::done;
}

ExitCode run_list(const Options& options, Context& context) {
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) return context.fail(cluster.error());
  if (options.watch) return watch_list(options, context, *cluster);
  const base::Result<std::vector<backup::SnapshotItem>> items =
      backup::list_snapshots(*cluster->client, request_of(options, *cluster), deadline, context.stop());
  if (!items) return context.fail(items.error());
  print_result(context, options.output,
               {.document = [&] { return snapshot_list_value(*items); },
                .text = [&](bool) { return snapshot_list_text(*items, look_of(options, context)); },
                .names = [&] { return snapshot_names_text(*items); }});
  tell_what_is_missing(options, context, *cluster, *items);
  context.console().result(snapshot_list_value(*items), 0);
  return ExitCode::done;
}

Run bind(Flags& flags) {
  const std::shared_ptr<Options> options = std::make_shared<Options>();
  flags.add(Argument{.name = "VM",
                     .help = "only the snapshots of this VM, as NAME or vm/NAME",
                     .required = false,
                     .names = Names::virtual_machine,
                     .add = name_into(options->vm, Names::virtual_machine)});
  bind_all_namespaces(flags, options->all_namespaces);
  bind_ignore_recorded(flags, options->ignore_recorded);
  flags.add(Flag{.name = "all-tools",
                 .help = "those that this tool did not make as well; --all-tools=false leaves them out",
                 .fallback = "true",
                 .set = switch_into(options->all_tools)});
  flags.add(choice<backup::SortBy>(
      {.name = "sort-by",
       .metavar = "FIELD",
       .help =
           "age: the oldest first; vm: by namespace and VM; level: the strongest first; size: the largest first; among equals the oldest "
           "first",
       .fallback = "age"},
      options->sort_by,
      {{"age", backup::SortBy::age},
       {"vm", backup::SortBy::vm},
       {"name", backup::SortBy::name},
       {"level", backup::SortBy::level},
       {"size", backup::SortBy::size}}));
  flags.add(Flag{
      .name = "watch", .letter = 'w', .help = "print what is there, then each change as it happens", .set = switch_into(options->watch)});
  bind_timeout(flags, options->timeout, &options->timeout_given);
  bind_output(flags, options->output,
              {OutputFormat::table, OutputFormat::wide, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
  flags.check([options]() -> base::Result<void> {
    const bool lines = options->output != OutputFormat::yaml && options->output != OutputFormat::name;
    if (!options->watch || lines) return {};
    return base::Error(base::ErrorCode::usage, "--watch prints lines, which -o yaml and -o name cannot do",
                       "write -o json, or leave -o out");
  });
  return [options](Context& context) { return run_list(*options, context); };
}

}  // namespace

Command list_command() {
  return {.name = "list",
          .group = CommandGroup::keep,
          .summary = "List snapshots",
          .description = k_description,
          .examples = {{"all in the namespace prod", "list -n prod"},
                       {"those of one VM, with policy, run and content", "list db-0 -n prod -o wide"},
                       {"everywhere, for a script", "list -A -o json"},
                       {"what would a restore of the largest need, of those made here?", "list -n prod --all-tools=false --sort-by size"},
                       {"what changes within the next ten seconds", "list -n prod --watch --timeout 10s"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::deadline, ExitCode::hung_up, ExitCode::interrupted,
                         ExitCode::terminated},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
