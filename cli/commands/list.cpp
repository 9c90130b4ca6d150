// kubectl vmbackup list: the snapshots that exist.
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
    "Lists the VirtualMachineSnapshots of a namespace, of one VM, or of all namespaces, whoever made them; the oldest first. DISKS counts "
    "those in the snapshot against those that the VM can write. LEVEL is the level of consistency: computed from what was recorded while "
    "the snapshot was "
    "taken, or, marked as inferred, from what the objects alone can show; kubectl-vmbackup-levels(7) explains it. At a terminal AGE says "
    "how long ago a snapshot was created, elsewhere "
    "CREATED says when.";

struct Options {
  std::string vm;
  bool all_namespaces = false;
  bool ignore_recorded = false;
  base::Duration timeout = std::chrono::minutes(2);
  OutputFormat output = OutputFormat::table;
};

ExitCode run_list(const Options& options, Context& context) {
  const base::Deadline deadline = base::Deadline::after(context.clock(), options.timeout);
  const base::Result<Connected>& cluster = context.cluster();
  if (!cluster) return context.fail(cluster.error());
  const backup::ListRequest request{
      .ns = options.all_namespaces ? "" : cluster->ns, .vm = options.vm, .ignore_recorded = options.ignore_recorded};
  const base::Result<std::vector<backup::SnapshotItem>> items = backup::list_snapshots(*cluster->client, request, deadline, context.stop());
  if (!items) return context.fail(items.error());
  const ListLook look{.namespaces = options.all_namespaces, .ages = context.out().terminal(), .now = context.clock().wall_now()};
  print_result(context, options.output,
               {.document = [&] { return snapshot_list_value(*items); },
                .text =
                    [&](bool wide) {
                      ListLook chosen = look;
                      chosen.wide = wide;
                      return snapshot_list_text(*items, chosen);
                    },
                .names = [&] { return snapshot_names_text(*items); }});
  if (items->empty()) {
    const std::string whose = options.vm.empty() ? "" : " of VM " + options.vm;
    context.console().note("no snapshots" + whose + (options.all_namespaces ? " in any namespace" : " in namespace " + cluster->ns));
  }
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
  bind_timeout(flags, options->timeout);
  bind_output(flags, options->output,
              {OutputFormat::table, OutputFormat::wide, OutputFormat::json, OutputFormat::yaml, OutputFormat::name});
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
                       {"everywhere, for a script", "list -A -o json"}},
          .exit_codes = {ExitCode::done, ExitCode::failed, ExitCode::usage, ExitCode::deadline},
          .needs = Needs::cluster,
          .bind = bind};
}

}  // namespace vmbackup::cli
