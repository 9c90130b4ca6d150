// The look before the leap: everything that is known before a snapshot is created.
#include <algorithm>
#include <map>
#include <set>

#include "backup/disk_facts.hpp"
#include "backup/held_mark.hpp"
#include "backup/left_paused.hpp"
#include "backup/lookup.hpp"
#include "backup/pass_over.hpp"
#include "backup/plan_disks.hpp"
#include "backup/plan_hold.hpp"
#include "backup/plan_level.hpp"
#include "backup/run_id.hpp"
#include "backup/snapshot.hpp"
#include "backup/snapshot_create.hpp"
#include "backup/snapshot_group.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "kubevirt/persistent_state.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::VirtualMachine;
using kubevirt::VirtualMachineInstance;

constexpr std::size_t k_at_once = 16;

// What can never succeed is refused before anything is created.
std::optional<Error> check_vm(const VirtualMachine& vm, const std::string& what, bool snapshot_has_ended) {
  if (vm.deleting) return Error(ErrorCode::precondition, what + " is being deleted");
  if (!vm.snapshot_in_progress.empty() && !snapshot_has_ended) {
    return Error(ErrorCode::conflict, what + " has a snapshot under way: " + vm.snapshot_in_progress,
                 "wait for it with: kubectl vmbackup wait vmsnapshot/" + vm.snapshot_in_progress + " -n " + vm.ns);
  }
  if (!vm.restore_in_progress.empty()) {
    return Error(ErrorCode::conflict, what + " is being restored by VirtualMachineRestore " + vm.restore_in_progress,
                 "look at it with: kubectl get virtualmachinerestore " + vm.restore_in_progress + " -n " + vm.ns);
  }
  return std::nullopt;
}

class Planner {
 public:
  Planner(kube::Client& client, base::Clock& clock, const SnapshotRequest& request, std::string version, const base::Deadline& deadline,
          const std::stop_token& stop)
      : client_(client),
        clock_(clock),
        request_(request),
        version_(std::move(version)),
        call_{.deadline = deadline},
        stop_(stop),
        holds_(client, request, call_, stop) {}

  const std::vector<std::string>& unknown() const { return facts_.unknown; }

  Result<void> read(const std::vector<VirtualMachine>& vms) {
    std::map<std::string, std::vector<VirtualMachine>> spaces;
    for (const VirtualMachine& vm : vms) spaces[vm.ns].push_back(vm);
    looked_ = clock_.now();
    Result<DiskFacts> facts = read_disk_facts(client_, vms, call_, stop_);
    if (!facts.ok()) return facts.error();
    facts_ = std::move(*facts);
    for (const auto& [ns, some] : spaces) {
      const auto listed = facts_.instances.find(ns);
      if (listed != facts_.instances.end()) {
        take_listed(listed->second);
      } else if (Result<void> read = read_instances(some); !read.ok()) {
        return read;
      }
    }
    return holds_.ask_rights(running_);
  }

  // Called by several threads.
  SnapshotPlan plan(const VirtualMachine& vm) const {
    const std::string what = kubevirt::describe(kubevirt::virtual_machines(), {vm.ns, vm.name});
    SnapshotPlan plan = begin(vm);
    const bool own = plan.resumes && vm.snapshot_in_progress == plan.snapshot.name;
    plan.refusal = check_vm(vm, what, own || snapshot_has_ended(vm));
    plan.disks = plan_disks(vm);
    if (!plan.refusal) add_instance(vm, what, plan);
    if (!plan.refusal) add_disks(vm, what, plan);
    if (!plan.refusal && plan.running) add_recipe(vm, plan);
    if (!plan.refusal) refuse_to_wait(what, plan);
    const auto accepted = [this](const std::string& name) {
      return std::find(request_.accept_raw.begin(), request_.accept_raw.end(), name) != request_.accept_raw.end();
    };
    for (DiskReport& disk : plan.disks) {
      const bool state = disk.source == k_backend_storage;
      disk.accepted_raw = accepted(disk.name) || (state && accepted(kubevirt::k_state_volume_of_instance));
    }
    if (!plan.refusal) add_unseen_state(vm, instance_of({vm.ns, vm.name}), facts_, plan.disks);
    if (!plan.refusal) warn_of_left_out(plan);
    judge_best(plan);
    return plan;
  }

 private:
  SnapshotPlan begin(const VirtualMachine& vm) const {
    SnapshotPlan plan;
    plan.resumes = request_.resumes;
    plan.looked = looked_;
    plan.api_version = version_;
    plan.vm_uid = vm.uid;
    plan.target = {{vm.ns, vm.name}, vm.uid, {}, false, {}};
    plan.snapshot.ns = vm.ns;
    plan.snapshot.vm = vm.name;
    plan.snapshot.name = request_.name.empty() ? snapshot_name(vm.name, request_.run) : request_.name;
    if (request_.attempt > 1) plan.snapshot.name += "-" + std::to_string(request_.attempt);
    if (request_.failure_deadline) plan.snapshot.failure_deadline = base::format_duration(*request_.failure_deadline);
    plan.snapshot.deletion_policy = request_.deletion_policy;
    plan.snapshot.labels = {{k_managed_by_label, k_managed_by}, {k_run_label, request_.run}};
    for (const auto& label : request_.labels) {
      if (!is_own_label(label.first)) plan.snapshot.labels.push_back(label);
    }
    plan.snapshot.annotations = {{k_tool_version_annotation, tool_version()}};
    return plan;
  }

  // The running instances of some VMs. Those that may not be listed may yet be read one by one.
  Result<void> read_instances(const std::vector<VirtualMachine>& vms) {
    const Result<std::vector<std::optional<VirtualMachineInstance>>> found = instances_of(client_, vms, call_, stop_);
    if (found.ok()) {
      for (std::size_t i = 0; i < vms.size(); ++i) {
        if ((*found)[i]) running_.emplace(kube::Name{vms[i].ns, vms[i].name}, *(*found)[i]);
      }
      return {};
    }
    if (found.error().code() != ErrorCode::forbidden) return found.error();
    if (vms.size() == 1) {
      unread_.emplace(kube::Name{vms[0].ns, vms[0].name}, found.error().message());
      return {};
    }
    for (const VirtualMachine& vm : vms) {
      if (Result<void> read = read_instances({vm}); !read.ok()) return read;
    }
    return {};
  }

  void take_listed(const std::map<std::string, VirtualMachineInstance>& instances) {
    for (const auto& [name, vmi] : instances) {
      if (vmi.final()) {
        ended_.insert({vmi.ns, name});
      } else {
        running_.emplace(kube::Name{vmi.ns, name}, vmi);
      }
    }
  }

  // Nullptr: none runs, or it may not be read.
  const VirtualMachineInstance* instance_of(const kube::Name& vm) const {
    const auto found = running_.find(vm);
    return found == running_.end() ? nullptr : &found->second;
  }

  // KubeVirt lets the VM go a moment after it has called a snapshot Succeeded: two in a row must not look like two at once.
  bool snapshot_has_ended(const VirtualMachine& vm) const {
    if (vm.snapshot_in_progress.empty()) return false;
    const Result<json::Value> object = client_.get(kubevirt::vm_snapshots(version_), {vm.ns, vm.snapshot_in_progress}, call_, stop_);
    if (!object.ok()) return false;
    const Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(*object);
    if (!snapshot.ok()) return false;
    return snapshot->phase == kubevirt::SnapshotPhase::succeeded || snapshot->phase == kubevirt::SnapshotPhase::failed;
  }

  void add_instance(const VirtualMachine& vm, const std::string& what, SnapshotPlan& plan) const {
    if (const auto unread = unread_.find({vm.ns, vm.name}); unread != unread_.end()) {
      const std::string& why = unread->second;
      plan.running = true;
      plan.hold = kubevirt::Hold::controller;
      plan.warnings.push_back("the running instance may not be read, so guest agent and hot-plugged disks are not known: " + why);
      if (insists(request_)) {
        plan.refusal = Error(ErrorCode::forbidden, what + " cannot be frozen: its instance may not be read: " + why);
      }
      return;
    }
    const VirtualMachineInstance* vmi = instance_of({vm.ns, vm.name});
    if (vmi == nullptr) return;
    plan.running = true;
    plan.agent_connected = vmi->agent_connected;
    plan.paused = vmi->paused;
    plan.guest_os = vmi->guest_os_id;
    plan.target.vmi_uid = vmi->uid;
    plan.target.node = vmi->node;
    add_hotplugged(*vmi, plan.disks);
    plan.paused_by = vmi->paused ? read_held_mark(vm.annotation(k_held_annotation)).run : std::string();
    if (left_paused(plan, request_.run)) {
      plan.warnings.emplace_back("an earlier part of the run has left the VM paused; it is let go once its snapshot is cut");
    } else if (!plan.paused_by.empty()) {
      plan.warnings.push_back("the VM is still paused by run " + plan.paused_by + " of this tool, which was killed or goes on elsewhere; " +
                              "let it run with: " + thaw_command(plan.target.vm));
    } else if (vmi->paused) {
      plan.warnings.emplace_back("the VM is paused: KubeVirt freezes no paused guest, file systems are not flushed");
    } else if (!vmi->agent_connected) {
      plan.warnings.emplace_back("no guest agent is connected: KubeVirt cannot freeze the guest's file systems for this snapshot");
    }
    if (vmi->migrating) plan.warnings.emplace_back("the VM is migrating: a freeze is refused until that is over");
    std::optional<Error> no_freeze = holds_.choose(*vmi, what, plan);
    if (insists(request_)) plan.refusal = std::move(no_freeze);
    if (plan.hold == kubevirt::Hold::controller && vmi->fs_freeze_status == "frozen") {
      plan.warnings.emplace_back(
          "the guest is reported as frozen already: KubeVirt then sends no freeze of its own, and thaws it at the end");
    }
  }

  void add_disks(const VirtualMachine& vm, const std::string& what, SnapshotPlan& plan) const {
    add_facts(facts_, vm, plan);
    const bool has_instance = plan.running || ended_.count({vm.ns, vm.name}) > 0;
    const std::vector<Error> never = check_disks(facts_, vm, what, has_instance, plan);
    // What an earlier part of the run created is followed whatever has become of the disks since.
    if (!never.empty() && plan.resumes && exists_already(plan)) return;
    for (const Error& error : never) {
      if (!request_.force) {
        plan.refusal = error;
        return;
      }
      plan.forced.push_back("forced: " + error.message() + (error.causes().empty() ? "" : ": " + base::join(error.causes(), "; ")));
    }
    plan.warnings.insert(plan.warnings.end(), plan.forced.begin(), plan.forced.end());
    if (!plan.waits.empty() || !plan.forced.empty()) leave_freeze_to_kubevirt(plan);
  }

  // Nothing of ours is to stand still, or be quiesced, for minutes in which nothing is cut.
  void refuse_to_wait(const std::string& what, SnapshotPlan& plan) const {
    std::vector<std::string> causes = plan.waits;
    causes.insert(causes.end(), plan.forced.begin(), plan.forced.end());
    if (causes.empty() || !(freezes(plan.hold) || pauses(plan.hold) || plan.recipe || request_.group)) return;
    plan.refusal = Error(ErrorCode::conflict, what + " is not ready for a snapshot: guests would stand still while KubeVirt waits",
                         std::string("take it when that is over") +
                             (request_.group || plan.recipe ? "" : ", or leave its guest to KubeVirt with --hold controller"))
                       .with_causes(causes);
  }

  bool exists_already(const SnapshotPlan& plan) const {
    const Result<std::optional<kubevirt::VmSnapshot>> found = find_own_snapshot(client_, plan, call_, stop_);
    return found.ok() && found->has_value();
  }

  void add_recipe(const VirtualMachine& vm, SnapshotPlan& plan) const {
    plan.recipe = request_.recipe;
    if (!plan.recipe && request_.recipe_from_cluster) {
      Result<std::optional<Recipe>> named = kubevirt::recipe_of(client_, vm, call_, stop_);
      if (!named.ok()) {
        plan.refusal = named.error();
        return;
      }
      plan.recipe = std::move(*named);
    }
    if (!plan.recipe) return;
    plan.recipe_options = request_.recipe_options;
    plan.recipe_target.vm = {vm.ns, vm.name};
    if (const VirtualMachineInstance* vmi = instance_of({vm.ns, vm.name})) plan.recipe_target.instance = *vmi;
    StepRunner runner(client_, clock_, plan.recipe_target, plan.recipe_options);
    if (const Result<void> ready = runner.prepare(*plan.recipe, call_.deadline, stop_); !ready.ok()) plan.refusal = ready.error();
    plan.warnings.insert(plan.warnings.end(), runner.notes().begin(), runner.notes().end());
  }

  kube::Client& client_;
  base::Clock& clock_;
  const SnapshotRequest& request_;
  const std::string version_;
  const kube::Call call_;
  const std::stop_token& stop_;
  std::map<kube::Name, VirtualMachineInstance> running_;
  std::set<kube::Name> ended_;                // whose instance has ended and is still there, as far as that was listed
  std::map<kube::Name, std::string> unread_;  // whose instance may not be read, and why
  DiskFacts facts_;
  base::TimePoint looked_;
  HoldPlanner holds_;
};

// A part of a group is none.
void refuse_together(std::vector<SnapshotPlan>& plans) {
  const auto refused = std::find_if(plans.begin(), plans.end(), [](const SnapshotPlan& plan) { return plan.refusal.has_value(); });
  if (refused == plans.end()) return;
  const Error why = all_or_none(refused->target.vm, *refused->refusal);
  for (SnapshotPlan& plan : plans) {
    if (!plan.refusal) plan.refusal = why;
  }
}

}  // namespace

bool SnapshotPlan::complete() const {
  return std::all_of(disks.begin(), disks.end(), [](const DiskReport& disk) { return disk.included || !disk.counts; });
}

Result<SnapshotSet> plan_snapshots(kube::Client& client, base::Clock& clock, const SnapshotRequest& request, const base::Deadline& deadline,
                                   const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const Result<std::string> version = snapshot_api_version(client, call, stop);
  if (!version.ok()) return version.error();
  Result<Selected> selected = select_vms(client, request.selection, call, stop);
  if (!selected.ok()) return selected.error();
  if (Result<void> passed = pass_over(client, request, *selected, call, stop); !passed.ok()) return passed.error();
  const std::vector<VirtualMachine>& vms = selected->vms;
  if (!request.name.empty() && vms.size() > 1) {
    return Error(ErrorCode::usage, "--name was given for " + std::to_string(vms.size()) + " VMs: a name is for one snapshot",
                 "leave --name away: each snapshot is named after its VM and the run");
  }
  if (request.group && vms.size() > request.max_held) {
    return Error(ErrorCode::usage,
                 "--group would make " + std::to_string(vms.size()) + " VMs stand still at once, and no more than " +
                     std::to_string(request.max_held) + " may",
                 "choose fewer VMs, or allow more with --max-held " + std::to_string(vms.size()));
  }
  SnapshotSet set{request.run, request.group, *version, {}, std::move(selected->passed_over), {}};
  Planner planner(client, clock, request, *version, deadline, stop);
  if (Result<void> read = planner.read(vms); !read.ok()) return read.error();
  set.notes = planner.unknown();
  set.plans.resize(vms.size());
  base::for_each_parallel(vms.size(), k_at_once, [&](std::size_t i) { set.plans[i] = planner.plan(vms[i]); });
  if (request.group) refuse_together(set.plans);
  return set;
}

SnapshotItem item_of(const SnapshotPlan& plan) {
  SnapshotItem item;
  item.ns = plan.snapshot.ns;
  item.vm = plan.snapshot.vm;
  item.name = plan.snapshot.name;
  item.outcome = plan.refusal ? Outcome::failed : Outcome::planned;
  item.error = plan.refusal;
  item.complete = plan.complete();
  item.disks = plan.disks;
  item.deletion_policy = plan.snapshot.deletion_policy.empty() ? "Delete" : plan.snapshot.deletion_policy;
  item.failure_deadline = plan.snapshot.failure_deadline.empty() ? k_default_failure_deadline : plan.snapshot.failure_deadline;
  item.labels = plan.snapshot.labels;
  std::sort(item.labels.begin(), item.labels.end());
  for (const auto& [key, value] : plan.snapshot.labels) {
    if (key == k_run_label) item.run = value;
  }
  item.reasons = plan.warnings;
  return item;
}

}  // namespace vmbackup::backup
