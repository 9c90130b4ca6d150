// The look before the leap: everything that is known before a snapshot is created.
#include <algorithm>
#include <array>

#include "backup/assemble.hpp"
#include "backup/lookup.hpp"
#include "backup/run_id.hpp"
#include "backup/snapshot.hpp"
#include "base/text.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

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

DiskReport plan_disk(const kubevirt::Volume& volume, const kubevirt::VirtualMachine& vm) {
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

void add_hotplugged(const kubevirt::VirtualMachineInstance& vmi, std::vector<DiskReport>& disks) {
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

// KubeVirt lets the VM go a moment after it has called a snapshot Succeeded: two in a row must not look like two at once.
bool snapshot_has_ended(kube::Client& client, const std::string& version, const kubevirt::VirtualMachine& vm, const kube::Call& call,
                        const std::stop_token& stop) {
  if (vm.snapshot_in_progress.empty()) return false;
  const Result<json::Value> object = client.get(kubevirt::vm_snapshots(version), {vm.ns, vm.snapshot_in_progress}, call, stop);
  if (!object.ok()) return false;
  const Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(*object);
  if (!snapshot.ok()) return false;
  return snapshot->phase == kubevirt::SnapshotPhase::succeeded || snapshot->phase == kubevirt::SnapshotPhase::failed;
}

// What can never succeed is refused before anything is created.
Result<void> check_vm(const kubevirt::VirtualMachine& vm, const std::string& what, bool snapshot_has_ended) {
  if (vm.deleting) return Error(ErrorCode::precondition, what + " is being deleted");
  if (!vm.snapshot_in_progress.empty() && !snapshot_has_ended) {
    return Error(ErrorCode::conflict, what + " has a snapshot under way: " + vm.snapshot_in_progress,
                 "wait for it with: kubectl vmbackup wait vmsnapshot/" + vm.snapshot_in_progress + " -n " + vm.ns);
  }
  if (!vm.restore_in_progress.empty()) {
    return Error(ErrorCode::conflict, what + " is being restored by VirtualMachineRestore " + vm.restore_in_progress,
                 "look at it with: kubectl get virtualmachinerestore " + vm.restore_in_progress + " -n " + vm.ns);
  }
  return {};
}

Result<void> check_disks(const std::vector<DiskReport>& disks, const std::string& what) {
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
  if (any) return {};
  if (disks.empty()) return Error(ErrorCode::precondition, what + " has no disk that a snapshot could hold");
  return Error(
             ErrorCode::precondition,
             "none of the disks of " + what + " can be snapshotted; KubeVirt would report such a snapshot as Succeeded with nothing in it",
             "compare the drivers with: kubectl get storageclass,volumesnapshotclass")
      .with_causes(causes);
}

// The running instance, as far as there is one and it may be read.
Result<void> add_instance(kube::Client& client, SnapshotPlan& plan, const kube::Call& call, const std::stop_token& stop) {
  const kube::Resource resource = kubevirt::virtual_machine_instances();
  const kube::Name name{plan.snapshot.ns, plan.snapshot.vm};
  const Result<json::Value> object = client.get(resource, name, call, stop);
  if (!object.ok()) {
    if (object.error().code() == ErrorCode::not_found) return {};
    if (object.error().code() == ErrorCode::forbidden) {
      plan.running = true;
      plan.warnings.push_back("the running instance may not be read, so guest agent and hot-plugged disks are not known: " +
                              object.error().message());
      return {};
    }
    return object.error();
  }
  const Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(*object);
  if (!vmi.ok()) return vmi.error();
  if (vmi->final()) return {};
  plan.running = true;
  plan.agent_connected = vmi->agent_connected;
  plan.paused = vmi->paused;
  add_hotplugged(*vmi, plan.disks);
  if (vmi->paused) {
    plan.warnings.push_back("the VM is paused: KubeVirt freezes no paused guest, file systems are not flushed");
  } else if (!vmi->agent_connected) {
    plan.warnings.push_back("no guest agent is connected: KubeVirt cannot freeze the guest's file systems for this snapshot");
  }
  if (vmi->migrating) plan.warnings.push_back("the VM is migrating: a freeze is refused until that is over");
  if (vmi->fs_freeze_status == "frozen") {
    plan.warnings.push_back("the guest is reported as frozen already: KubeVirt then sends no freeze of its own, and thaws it at the end");
  }
  return {};
}

void warn_of_left_out(SnapshotPlan& plan) {
  for (const DiskReport& disk : plan.disks) {
    if (disk.included || !disk.counts) continue;
    plan.warnings.push_back("disk " + disk.name + " will not be in the snapshot: " + disk.reason);
  }
}

}  // namespace

bool SnapshotPlan::complete() const {
  return std::all_of(disks.begin(), disks.end(), [](const DiskReport& disk) { return disk.included || !disk.counts; });
}

Result<SnapshotPlan> plan_snapshot(kube::Client& client, const SnapshotRequest& request, const base::Deadline& deadline,
                                   const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const Result<std::string> version = snapshot_api_version(client, call, stop);
  if (!version.ok()) return version.error();

  const kube::Name name{request.ns, request.vm};
  const std::string what = kubevirt::describe(kubevirt::virtual_machines(), name);
  const Result<json::Value> object = client.get(kubevirt::virtual_machines(), name, call, stop);
  if (!object.ok()) {
    if (object.error().code() == ErrorCode::not_found) {
      return not_found_with_suggestion(client, kubevirt::virtual_machines(), name, object.error(), call, stop);
    }
    return object.error();
  }
  const Result<kubevirt::VirtualMachine> vm = kubevirt::decode_virtual_machine(*object);
  if (!vm.ok()) return vm.error();
  const bool ended = snapshot_has_ended(client, *version, *vm, call, stop);
  if (Result<void> fit = check_vm(*vm, what, ended); !fit.ok()) return fit.error();

  SnapshotPlan plan;
  plan.api_version = *version;
  plan.vm_uid = vm->uid;
  plan.snapshot.ns = request.ns;
  plan.snapshot.vm = request.vm;
  plan.snapshot.name = request.name.empty() ? snapshot_name(request.vm, request.run) : request.name;
  if (request.failure_deadline) plan.snapshot.failure_deadline = base::format_duration(*request.failure_deadline);
  plan.snapshot.deletion_policy = request.deletion_policy;
  plan.snapshot.labels = {{k_managed_by_label, k_managed_by}, {k_run_label, request.run}};
  plan.snapshot.annotations = {{k_tool_version_annotation, tool_version()}};
  for (const kubevirt::Volume& volume : vm->volumes) {
    if (volume.kind != kubevirt::Volume::Kind::configuration) plan.disks.push_back(plan_disk(volume, *vm));
  }
  if (Result<void> added = add_instance(client, plan, call, stop); !added.ok()) return added.error();
  if (Result<void> fit = check_disks(plan.disks, what); !fit.ok()) return fit.error();
  warn_of_left_out(plan);
  return plan;
}

SnapshotItem item_of(const SnapshotPlan& plan) {
  SnapshotItem item;
  item.ns = plan.snapshot.ns;
  item.vm = plan.snapshot.vm;
  item.name = plan.snapshot.name;
  item.outcome = Outcome::planned;
  item.complete = plan.complete();
  item.disks = plan.disks;
  item.deletion_policy = plan.snapshot.deletion_policy.empty() ? "Delete" : plan.snapshot.deletion_policy;
  item.failure_deadline = plan.snapshot.failure_deadline.empty() ? k_default_failure_deadline : plan.snapshot.failure_deadline;
  for (const auto& [key, value] : plan.snapshot.labels) {
    if (key == k_run_label) item.run = value;
  }
  item.reasons = plan.warnings;
  return item;
}

}  // namespace vmbackup::backup
