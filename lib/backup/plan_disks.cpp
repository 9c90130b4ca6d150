#include "backup/plan_disks.hpp"

#include <algorithm>

#include "backup/assemble.hpp"
#include "backup/freeze_reach.hpp"
#include "base/text.hpp"

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

bool is_ambiguous(const DiskReport& disk) { return disk.reason.find("matching VolumeSnapshotClasses") != std::string::npos; }

}  // namespace

std::vector<DiskReport> plan_disks(const VirtualMachine& vm) {
  std::vector<DiskReport> disks;
  for (const kubevirt::Volume& volume : vm.volumes) {
    if (volume.kind != kubevirt::Volume::Kind::configuration) disks.push_back(plan_disk(volume, vm));
  }
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

}  // namespace vmbackup::backup
