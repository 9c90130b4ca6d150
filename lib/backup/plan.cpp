// The look before the leap: everything that is known before a snapshot is created.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "backup/assemble.hpp"
#include "backup/disk_facts.hpp"
#include "backup/freeze_reach.hpp"
#include "backup/guest_truth.hpp"
#include "backup/held_mark.hpp"
#include "backup/inventory.hpp"
#include "backup/lookup.hpp"
#include "backup/run_id.hpp"
#include "backup/snapshot.hpp"
#include "backup/snapshot_group.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "kube/access_review.hpp"
#include "kubevirt/guest_control.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::VirtualMachine;
using kubevirt::VirtualMachineInstance;

constexpr std::size_t k_at_once = 16;

// KubeVirt's text, less the brackets that repeat what the row says anyway.
std::string reason_of(const kubevirt::VolumeSnapshotSupport& support) {
  constexpr std::string_view k_no_class = "No VolumeSnapshotClass: ";
  std::string reason = support.reason;
  if (reason.rfind(k_no_class, 0) == 0) {
    reason = "no VolumeSnapshotClass: " + reason.substr(k_no_class.size());
  }
  const std::string own_name = " [" + support.name + "]";
  if (reason.size() > own_name.size() && reason.ends_with(own_name)) reason.resize(reason.size() - own_name.size());
  return reason.empty() ? "KubeVirt says that it cannot be snapshotted" : reason;
}

DiskReport plan_disk(const kubevirt::Volume& volume, const VirtualMachine& vm) {
  DiskReport disk = disk_of(volume);
  if (!disk.reason.empty()) return disk;
  disk.included = true;
  for (const kubevirt::VolumeSnapshotSupport& support : vm.snapshot_support) {
    if (support.name != volume.name || support.enabled) continue;
    disk.included = false;
    disk.reason = reason_of(support);
  }
  return disk;
}

bool is_ambiguous(const DiskReport& disk) { return disk.reason.find("matching VolumeSnapshotClasses") != std::string::npos; }

void add_hotplugged(const VirtualMachineInstance& vmi, std::vector<DiskReport>& disks) {
  for (const std::string& volume : vmi.hotplugged) {
    const bool in_spec = std::any_of(disks.begin(), disks.end(), [&](const DiskReport& disk) { return disk.name == volume; });
    if (in_spec) continue;
    DiskReport disk;
    disk.name = volume;
    disk.source = "hotplug";
    disk.reason = "hot-plugged into the running instance and not in the VM's spec";
    disks.push_back(disk);
  }
}

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

std::optional<Error> check_disks(const std::vector<DiskReport>& disks, const std::string& what) {
  std::vector<std::string> causes;
  bool any = false;
  for (const DiskReport& disk : disks) {
    any = any || disk.included;
    if (!disk.included && disk.counts) causes.push_back("disk " + disk.name + ": " + disk.reason);
    if (is_ambiguous(disk)) {
      return Error(ErrorCode::precondition,
                   what + " cannot be snapshotted: KubeVirt cannot choose a VolumeSnapshotClass for disk " + disk.name +
                       " and would wait until the failure deadline",
                   "mark one class as default: kubectl annotate volumesnapshotclass CLASS "
                   "snapshot.storage.kubernetes.io/is-default-class=true")
          .with_causes({"disk " + disk.name + ": " + disk.reason});
    }
  }
  if (any) return std::nullopt;
  if (disks.empty()) return Error(ErrorCode::precondition, what + " has no disk that a snapshot could hold");
  return Error(
             ErrorCode::precondition,
             "none of the disks of " + what + " can be snapshotted; KubeVirt would report such a snapshot as Succeeded with nothing in it",
             "compare the drivers with: kubectl get storageclass,volumesnapshotclass")
      .with_causes(causes);
}

void warn_of_left_out(SnapshotPlan& plan) {
  for (const DiskReport& disk : plan.disks) {
    if (disk.included || !disk.counts) continue;
    plan.warnings.push_back("disk " + disk.name + " will not be in the snapshot: " + disk.reason);
  }
}

// Which disks the agent lists a file system on.
void add_reach(const VirtualMachineInstance& vmi, const kubevirt::GuestInfo& info, SnapshotPlan& plan) {
  for (const DiskReach& reach : freeze_reach(vmi, info.file_systems)) {
    for (DiskReport& disk : plan.disks) {
      if (disk.name != reach.volume) continue;
      disk.file_system = reach.reached;
      disk.reach = reach.reason;
      if (disk.included && !reach.assumption.empty()) plan.assumptions.push_back(reach.assumption);
    }
  }
}

// What the storage has for each disk, who else uses it, and what of that stands in the way.
void add_facts(const DiskFacts& facts, const VirtualMachine& vm, SnapshotPlan& plan) {
  for (DiskReport& disk : plan.disks) {
    if (disk.claim.empty()) continue;
    const ClaimFacts claim = facts.of(vm.ns, disk.claim);
    if (claim.instances) disk.shared = !other_instances(claim, vm.name).empty();
    if (claim.pick && disk.included) {
      disk.snapshot_class = base::join(claim.pick->classes, " or ");
      if (claim.pick->kind == ClassPick::Kind::any_of) plan.warnings.push_back("disk " + disk.name + ": " + claim.pick->reason);
    }
    for (const std::string& why : obstacles(disk.claim, claim, plan.running)) {
      plan.warnings.push_back("disk " + disk.name + ": " + why + "; KubeVirt would wait for that until the failure deadline");
    }
  }
}

class Planner {
 public:
  Planner(kube::Client& client, base::Clock& clock, const SnapshotRequest& request, std::string version, const base::Deadline& deadline,
          const std::stop_token& stop)
      : client_(client), clock_(clock), request_(request), version_(std::move(version)), call_{.deadline = deadline}, stop_(stop) {}

  const std::vector<std::string>& unknown() const { return facts_.unknown; }

  Result<void> read(const std::vector<VirtualMachine>& vms) {
    std::map<std::string, std::vector<VirtualMachine>> spaces;
    for (const VirtualMachine& vm : vms) spaces[vm.ns].push_back(vm);
    for (const auto& [ns, some] : spaces) {
      if (Result<void> read = read_instances(some); !read.ok()) return read;
    }
    Result<DiskFacts> facts = read_disk_facts(client_, vms, call_, stop_);
    if (!facts.ok()) return facts.error();
    facts_ = std::move(*facts);
    return ask_rights(vms);
  }

  // Called by several threads.
  SnapshotPlan plan(const VirtualMachine& vm) const {
    const std::string what = kubevirt::describe(kubevirt::virtual_machines(), {vm.ns, vm.name});
    SnapshotPlan plan = begin(vm);
    const bool own = plan.resumes && vm.snapshot_in_progress == plan.snapshot.name;
    plan.refusal = check_vm(vm, what, own || snapshot_has_ended(vm));
    for (const kubevirt::Volume& volume : vm.volumes) {
      if (volume.kind != kubevirt::Volume::Kind::configuration) plan.disks.push_back(plan_disk(volume, vm));
    }
    if (!plan.refusal) add_instance(vm, what, plan);
    if (!plan.refusal) plan.refusal = check_disks(plan.disks, what);
    if (!plan.refusal && plan.running) add_recipe(vm, plan);
    for (DiskReport& disk : plan.disks) {
      const std::vector<std::string>& raw = request_.accept_raw;
      disk.accepted_raw = std::find(raw.begin(), raw.end(), disk.name) != raw.end();
    }
    if (!plan.refusal) add_facts(facts_, vm, plan);
    if (!plan.refusal) warn_of_left_out(plan);
    judge_best(plan);
    return plan;
  }

 private:
  SnapshotPlan begin(const VirtualMachine& vm) const {
    SnapshotPlan plan;
    plan.resumes = request_.resumes;
    plan.api_version = version_;
    plan.vm_uid = vm.uid;
    plan.target = {{vm.ns, vm.name}, vm.uid, {}, false, {}};
    plan.snapshot.ns = vm.ns;
    plan.snapshot.vm = vm.name;
    plan.snapshot.name = request_.name.empty() ? snapshot_name(vm.name, request_.run) : request_.name;
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

  // Once per namespace in which a guest could be frozen, by us or by KubeVirt, whose freeze we may have to end.
  Result<void> ask_rights(const std::vector<VirtualMachine>& vms) {
    const kube::Resource resource = kubevirt::guest_subresources();
    for (const VirtualMachine& vm : vms) {
      const VirtualMachineInstance* vmi = instance_of({vm.ns, vm.name});
      if (vmi == nullptr || !vmi->agent_connected || lacking_.count(vm.ns) > 0) continue;
      std::string& lacking = lacking_[vm.ns];
      for (const char* what : {"unfreeze", "freeze"}) {
        const kube::Access access{"update", resource.group, resource.plural, what, vm.ns};
        const Result<bool> allowed = kube::may(client_, access, call_, stop_);
        if (!allowed.ok()) return allowed.error();
        if (!*allowed && lacking.empty()) lacking = kube::describe(access);
      }
    }
    return {};
  }

  void add_instance(const VirtualMachine& vm, const std::string& what, SnapshotPlan& plan) const {
    if (const auto unread = unread_.find({vm.ns, vm.name}); unread != unread_.end()) {
      const std::string& why = unread->second;
      plan.running = true;
      plan.hold = kubevirt::Hold::controller;
      plan.warnings.push_back("the running instance may not be read, so guest agent and hot-plugged disks are not known: " + why);
      if (insists(request_.hold) || request_.group) {
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
    if (!plan.paused_by.empty()) {
      plan.warnings.push_back("the VM is still paused by run " + plan.paused_by + " of this tool, which was killed or goes on elsewhere; " +
                              "let it run with: " + thaw_command(plan.target.vm));
    } else if (vmi->paused) {
      plan.warnings.emplace_back("the VM is paused: KubeVirt freezes no paused guest, file systems are not flushed");
    } else if (!vmi->agent_connected) {
      plan.warnings.emplace_back("no guest agent is connected: KubeVirt cannot freeze the guest's file systems for this snapshot");
    }
    if (vmi->migrating) plan.warnings.emplace_back("the VM is migrating: a freeze is refused until that is over");
    std::optional<Error> no_freeze = choose_hold(*vmi, what, plan);
    // Nobody but us can hold several at once.
    if (insists(request_.hold) || request_.group) plan.refusal = std::move(no_freeze);
    if (plan.hold == kubevirt::Hold::controller && vmi->fs_freeze_status == "frozen") {
      plan.warnings.emplace_back(
          "the guest is reported as frozen already: KubeVirt then sends no freeze of its own, and thaws it at the end");
    }
  }

  // Why we cannot hold it ourselves.
  std::optional<Error> choose_hold(const VirtualMachineInstance& vmi, const std::string& what, SnapshotPlan& plan) const {
    plan.hold = kubevirt::Hold::none;
    plan.target.windows = may_be_windows(vmi.guest_os_id);
    if (!plan.paused_by.empty() && pauses(request_.hold)) {
      return Error(ErrorCode::precondition, what + " is still paused by run " + plan.paused_by + " of this tool",
                   "let it run with: " + thaw_command(plan.target.vm));
    }
    if (vmi.paused && pauses(request_.hold)) {
      return Error(ErrorCode::precondition, what + " is paused already, by somebody else: it is not ours to let it run",
                   "take the snapshot as it stands, with --hold controller");
    }
    if (request_.hold == HoldWish::pause) return hold_by_pause(vmi, what, kubevirt::Hold::pause, plan, request_);
    if (vmi.paused) return Error(ErrorCode::precondition, what + " cannot be frozen: it is paused, so that its agent cannot answer");
    if (!vmi.agent_connected) {
      return Error(ErrorCode::precondition, what + " cannot be frozen: no guest agent is connected",
                   "install and start qemu-guest-agent in the guest");
    }
    plan.hold = kubevirt::Hold::controller;
    std::optional<Error> disabled = ask_agent(vmi, what, plan);
    const auto lacking = lacking_.find(vmi.ns);
    plan.may_thaw = lacking != lacking_.end() && lacking->second.empty();
    if (request_.hold == HoldWish::controller) return std::nullopt;
    if (vmi.migrating) return Error(ErrorCode::conflict, what + " cannot be frozen: it is migrating");
    if (!plan.may_thaw) {
      plan.warnings.push_back("you may not " + lacking->second + ": the freeze is left to KubeVirt");
      return Error(ErrorCode::forbidden, what + " cannot be frozen: you may not " + lacking->second + " in namespace " + vmi.ns,
                   "KubeVirt's role edit has that right; the smallest one is packaging/rbac/vmbackup-freeze.yaml");
    }
    if (disabled) {
      plan.warnings.push_back(disabled->message());
      return disabled;
    }
    if (request_.hold == HoldWish::freeze_pause) {
      if (std::optional<Error> refusal = hold_by_pause(vmi, what, kubevirt::Hold::freeze_pause, plan, request_)) return refusal;
    } else {
      plan.hold = kubevirt::Hold::freeze;
      plan.insists = request_.hold == HoldWish::freeze || request_.group;
    }
    plan.locks = pauses(plan.hold) || request_.group;
    plan.probe = request_.probe;
    plan.max_freeze = request_.max_freeze.value_or(plan.target.windows ? k_max_freeze_windows : k_max_freeze);
    plan.safety_timeout = std::chrono::ceil<std::chrono::seconds>(plan.max_freeze) + k_safety_margin;
    return std::nullopt;
  }

  static std::optional<Error> hold_by_pause(const VirtualMachineInstance& vmi, const std::string& what, kubevirt::Hold hold,
                                            SnapshotPlan& plan, const SnapshotRequest& request) {
    if (vmi.migrating) return Error(ErrorCode::conflict, what + " cannot be paused: it is migrating");
    plan.hold = hold;
    plan.locks = true;
    plan.insists = true;
    plan.max_freeze = request.max_freeze.value_or(k_max_freeze);
    if (plan.snapshot.failure_deadline.empty()) plan.snapshot.failure_deadline = base::format_duration(k_failure_deadline_paused);
    return std::nullopt;
  }

  // Its system, its file systems, and whether it lets itself be frozen: why it does not.
  std::optional<Error> ask_agent(const VirtualMachineInstance& vmi, const std::string& what, SnapshotPlan& plan) const {
    const kube::Call once{.deadline = call_.deadline, .repeat = false};
    const Result<kubevirt::GuestInfo> info = kubevirt::guest_info(client_, {vmi.ns, vmi.name}, once, stop_);
    if (!info.ok()) {
      plan.warnings.push_back("what the guest agent says of the guest is not known: " + info.error().message());
      return std::nullopt;
    }
    if (!info->os_id.empty()) plan.guest_os = info->os_id;
    plan.target.windows = may_be_windows(plan.guest_os);
    add_reach(vmi, *info, plan);
    if (info->disabled.empty()) return std::nullopt;
    return Error(ErrorCode::precondition, what + " cannot be frozen: its agent lacks or does not allow " + base::join(info->disabled, ", "),
                 "allow these commands in the guest's qemu-ga configuration (block-rpcs, allow-rpcs), and restart the agent");
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

  // The rows of kubectl-vmbackup-levels(7), as far as a plan can see.
  static void judge_best(SnapshotPlan& plan) {
    if (plan.refusal) return;
    const auto included = std::count_if(plan.disks.begin(), plan.disks.end(), [](const DiskReport& disk) { return disk.included; });
    const Level unfrozen = included == 1 ? Level::crash : Level::per_disk;
    const auto cap = [&plan](Level level, std::string why) {
      if (stronger(plan.best, level)) plan.best = level;
      plan.best_because.push_back(std::move(why));
    };
    plan.best = plan.running ? Level::filesystem : Level::offline;
    if (plan.hold == kubevirt::Hold::pause) cap(Level::crash, "a pause flushes nothing");
    if (plan.running && plan.hold == kubevirt::Hold::none)
      cap(unfrozen, plan.paused ? "a paused guest is not frozen" : "no guest agent is connected");
    for (const DiskReport& disk : plan.disks) {
      if (!disk.included) continue;
      const bool frozen = plan.hold == kubevirt::Hold::controller || freezes(plan.hold);
      if (frozen && !disk.accepted_raw && !disk.file_system.value_or(false)) {
        const char* unknown = "whether the agent lists a file system on it is not known";
        cap(pauses(plan.hold) ? Level::crash : unfrozen,
            "a freeze does not reach disk " + disk.name + ": " + (disk.reach.empty() ? unknown : disk.reach));
      }
      if (plan.running && disk.shared.value_or(false)) {
        cap(Level::per_disk, "the claim " + disk.claim + " of disk " + disk.name + " is also mounted by another running VM");
      }
    }
  }

  kube::Client& client_;
  base::Clock& clock_;
  const SnapshotRequest& request_;
  const std::string version_;
  const kube::Call call_;
  const std::stop_token& stop_;
  std::map<kube::Name, VirtualMachineInstance> running_;
  std::map<kube::Name, std::string> unread_;  // whose instance may not be read, and why
  DiskFacts facts_;
  std::map<std::string, std::string> lacking_;  // by namespace: the right that is missing for a freeze; empty: none is
};

// Moves the VMs for which `why` has a reason to those that are passed over.
void move_out(Selected& selected, const std::function<std::string(const VirtualMachine&)>& why) {
  std::vector<VirtualMachine> left;
  for (VirtualMachine& vm : selected.vms) {
    std::string reason = why(vm);
    if (reason.empty()) {
      left.push_back(std::move(vm));
    } else {
      selected.passed_over.push_back({{vm.ns, vm.name}, std::move(reason)});
    }
  }
  selected.vms = std::move(left);
  std::sort(selected.passed_over.begin(), selected.passed_over.end(),
            [](const PassedOver& a, const PassedOver& b) { return a.name < b.name; });
}

// The newest snapshot of each VM that is good, by the VM's UID.
Result<std::map<std::string, SnapshotItem>> newest_good(kube::Client& client, const std::vector<VirtualMachine>& vms,
                                                        const kube::Call& call, const std::stop_token& stop) {
  std::set<std::string> spaces;
  for (const VirtualMachine& vm : vms) spaces.insert(vm.ns);
  std::map<std::string, SnapshotItem> newest;
  for (const std::string& ns : spaces) {
    const Result<std::vector<SnapshotItem>> items = list_snapshots(client, {.ns = ns, .vm = {}}, call.deadline, stop);
    if (!items.ok()) return items.error();
    // The oldest first.
    for (const SnapshotItem& item : *items) {
      if (item.phase == "Succeeded" && item.ready_to_use && item.created && !item.deleting) newest[item.vm_uid] = item;
    }
  }
  return newest;
}

Result<void> pass_over(kube::Client& client, const SnapshotRequest& request, Selected& selected, const kube::Call& call,
                       const std::stop_token& stop) {
  if (request.shard) {
    const std::string reason = "not in part " + std::to_string(request.shard->number) + " of " + std::to_string(request.shard->of);
    move_out(selected, [&](const VirtualMachine& vm) { return is_in({vm.ns, vm.name}, *request.shard) ? std::string() : reason; });
  }
  if (!request.skip_if_newer || selected.vms.empty()) return {};
  const Result<base::WallTime> now = client.server_time(call, stop);
  if (!now.ok()) return now.error();
  const Result<std::map<std::string, SnapshotItem>> newest = newest_good(client, selected.vms, call, stop);
  if (!newest.ok()) return newest.error();
  move_out(selected, [&](const VirtualMachine& vm) {
    const auto found = newest->find(vm.uid);
    if (found == newest->end() || *now - *found->second.created > *request.skip_if_newer) return std::string();
    return "its snapshot " + found->second.name + " is not older than " + base::format_duration(*request.skip_if_newer);
  });
  return {};
}

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

// FNV-1a: the same on every machine, for ever.
bool is_in(const kube::Name& vm, const Shard& shard) {
  std::uint32_t hash = 2166136261U;
  for (const char c : vm.ns + "/" + vm.name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash % shard.of == shard.number - 1;
}

bool insists(HoldWish wish) { return wish == HoldWish::freeze || pauses(wish); }
bool freezes(kubevirt::Hold hold) { return hold == kubevirt::Hold::freeze || hold == kubevirt::Hold::freeze_pause; }
bool pauses(HoldWish wish) { return wish == HoldWish::pause || wish == HoldWish::freeze_pause; }
bool pauses(kubevirt::Hold hold) { return hold == kubevirt::Hold::pause || hold == kubevirt::Hold::freeze_pause; }

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
