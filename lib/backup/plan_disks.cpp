#include "backup/plan_disks.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "backup/assemble.hpp"
#include "backup/freeze_reach.hpp"
#include "backup/obstacles.hpp"
#include "base/text.hpp"
#include "kubevirt/persistent_state.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using kubevirt::VirtualMachine;
using kubevirt::VirtualMachineInstance;

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

// What KubeVirt keeps of the VM beside its volumes. Maps of changed blocks alone are nothing that a restored VM would lack.
DiskReport plan_state(const VirtualMachine& vm) {
  using Kind = kubevirt::Volume::Kind;
  DiskReport disk = plan_disk({kubevirt::state_volume_of(vm.name), Kind::persistent_volume_claim, k_backend_storage, {}}, vm);
  disk.counts = vm.persistent_state;
  disk.file_system = false;
  disk.reach = "it is what KubeVirt keeps of TPM and firmware, and no file system of the guest's";
  return disk;
}

constexpr const char* k_or_force = "; or take it all the same with --force";

std::vector<Obstacle> obstacles_of(const DiskReport& disk, const DiskFacts& facts, const VirtualMachine& vm, bool has_instance) {
  if (!disk.claim.empty()) return obstacles(vm, disk.claim, facts.of(vm.ns, disk.claim), has_instance);
  // Of a VM whose claims may not be read it is not known.
  const bool unmade = disk.source == k_backend_storage && vm.persistent_state && facts.states.count({vm.ns, vm.name}) > 0;
  return unmade ? std::vector<Obstacle>{unmade_state(vm, has_instance)} : std::vector<Obstacle>();
}

// What keeps KubeVirt from beginning: the mend of the first, for one command is what a person can run.
std::optional<Error> check_claims(const DiskFacts& facts, const VirtualMachine& vm, const std::string& what, bool has_instance,
                                  SnapshotPlan& plan) {
  std::vector<std::string> causes;
  std::string mend;
  bool all_busy = true;
  for (const DiskReport& disk : plan.disks) {
    for (const Obstacle& obstacle : obstacles_of(disk, facts, vm, has_instance)) {
      const std::string why = "disk " + disk.name + ": " + obstacle.why;
      if (obstacle.passes) {
        plan.waits.push_back(why + "; KubeVirt would wait for that until the failure deadline");
        plan.warnings.push_back(plan.waits.back());
        continue;
      }
      causes.push_back(why);
      if (mend.empty()) mend = obstacle.mend;
      all_busy = all_busy && obstacle.busy;
    }
  }
  if (causes.empty()) return std::nullopt;
  return Error(all_busy ? ErrorCode::conflict : ErrorCode::precondition,
               what + " cannot be snapshotted as things are: KubeVirt would wait for that until the failure deadline", mend + k_or_force)
      .with_causes(causes);
}

std::optional<Error> check_classes(const DiskFacts& facts, const VirtualMachine& vm, const std::string& what,
                                   const std::vector<DiskReport>& disks) {
  for (const DiskReport& disk : disks) {
    const ClaimFacts claim = disk.claim.empty() ? ClaimFacts() : facts.of(vm.ns, disk.claim);
    const bool ambiguous = says_ambiguous(disk.reason) || (claim.pick && claim.pick->kind == ClassPick::Kind::ambiguous);
    if (ambiguous) {
      return Error(ErrorCode::precondition,
                   what + " cannot be snapshotted: KubeVirt cannot choose a VolumeSnapshotClass for disk " + disk.name +
                       " and would wait until the failure deadline",
                   std::string("mark one class as default: kubectl annotate volumesnapshotclass CLASS "
                               "snapshot.storage.kubernetes.io/is-default-class=true") +
                       k_or_force)
          .with_causes({"disk " + disk.name + ": " + (claim.pick ? claim.pick->reason : disk.reason)});
    }
    if (disk.included && claim.pick && claim.pick->kind == ClassPick::Kind::one && !claim.pick->reason.empty()) {
      return Error(ErrorCode::precondition,
                   what + " cannot be snapshotted: KubeVirt would take a VolumeSnapshotClass of another driver for disk " + disk.name,
                   "name a class of that driver in spec.snapshotClass: kubectl edit storageprofile " + claim.storage_class + k_or_force)
          .with_causes({"disk " + disk.name + ": " + claim.pick->reason});
    }
  }
  return std::nullopt;
}

// Whether anything would be in it. Of a claim that is yet to be made nothing is known.
std::optional<Error> check_content(const DiskFacts& facts, const VirtualMachine& vm, const std::string& what, const SnapshotPlan& plan) {
  std::vector<std::string> causes;
  for (const DiskReport& disk : plan.disks) {
    const bool unmade = !disk.claim.empty() && !plan.waits.empty() && facts.of(vm.ns, disk.claim).state == ClaimFacts::State::missing;
    if (disk.included || unmade) return std::nullopt;
    if (disk.counts) causes.push_back("disk " + disk.name + ": " + disk.reason);
  }
  if (plan.disks.empty()) {
    return Error(ErrorCode::precondition, what + " has no disk that a snapshot could hold",
                 std::string("see its volumes with: kubectl describe virtualmachine ") + vm.name + " -n " + vm.ns + k_or_force);
  }
  return Error(
             ErrorCode::precondition,
             "none of the disks of " + what + " can be snapshotted; KubeVirt would report such a snapshot as Succeeded with nothing in it",
             std::string("compare the drivers with: kubectl get storageclass,volumesnapshotclass") + k_or_force)
      .with_causes(causes);
}

}  // namespace

std::vector<DiskReport> plan_disks(const VirtualMachine& vm) {
  std::vector<DiskReport> disks;
  for (const kubevirt::Volume& volume : vm.volumes) {
    if (volume.kind != kubevirt::Volume::Kind::configuration) disks.push_back(plan_disk(volume, vm));
  }
  if (keeps_state(vm)) disks.push_back(plan_state(vm));
  return disks;
}

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

void add_unseen_state(const VirtualMachine& vm, const VirtualMachineInstance* vmi, const DiskFacts& facts, std::vector<DiskReport>& disks) {
  if (vm.persistent_state) return;
  const auto claim = facts.states.find({vm.ns, vm.name});
  const std::string claim_name = claim == facts.states.end() ? std::string() : claim->second;
  if (vmi != nullptr ? !vmi->persistent_state : !vm.has_preference || claim_name.empty()) return;
  for (DiskReport& disk : disks) {
    if (disk.source != k_backend_storage) continue;
    disk.counts = true;  // it is in the snapshot for another reason
    return;
  }
  DiskReport disk{.name = kubevirt::state_volume_of(vm.name), .source = k_backend_storage, .claim = claim_name};
  disk.reason =
      "KubeVirt looks for TPM and firmware in the VM's own definition alone, and they are in its preference; say there as well that "
      "they are persistent";
  disks.push_back(std::move(disk));
}

void warn_of_left_out(SnapshotPlan& plan) {
  for (const DiskReport& disk : plan.disks) {
    if (disk.included || !disk.counts) continue;
    plan.warnings.push_back("disk " + disk.name + " will not be in the snapshot: " + disk.reason);
  }
}

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

void add_facts(const DiskFacts& facts, const VirtualMachine& vm, SnapshotPlan& plan) {
  for (DiskReport& disk : plan.disks) {
    if (const auto state = facts.states.find({vm.ns, vm.name}); disk.source == k_backend_storage && state != facts.states.end()) {
      disk.claim = state->second;
    }
    if (disk.claim.empty()) continue;
    const ClaimFacts claim = facts.of(vm.ns, disk.claim);
    if (claim.instances) disk.shared = !other_instances(claim, vm.name).empty();
    if (!claim.pick) continue;
    // The VM's status is only written anew when something of the VM changes; the snapshot looks at the classes themselves.
    if (says_ambiguous(disk.reason) && claim.pick->kind == ClassPick::Kind::one) {
      disk.included = true;
      disk.reason.clear();
    }
    if (!disk.included) continue;
    disk.snapshot_class = base::join(claim.pick->classes, " or ");
    if (claim.pick->kind == ClassPick::Kind::any_of) plan.warnings.push_back("disk " + disk.name + ": " + claim.pick->reason);
  }
}

std::vector<Error> check_disks(const DiskFacts& facts, const VirtualMachine& vm, const std::string& what, bool has_instance,
                               SnapshotPlan& plan) {
  std::vector<Error> never;
  if (std::optional<Error> found = check_claims(facts, vm, what, has_instance, plan)) never.push_back(std::move(*found));
  if (std::optional<Error> found = check_classes(facts, vm, what, plan.disks)) never.push_back(std::move(*found));
  if (std::optional<Error> found = check_content(facts, vm, what, plan)) never.push_back(std::move(*found));
  return never;
}

}  // namespace vmbackup::backup
