#include "kubevirt/virtual_machine.hpp"

#include <array>
#include <string_view>

#include "kubevirt/decode.hpp"
#include "kubevirt/persistent_state.hpp"

namespace vmbackup::kubevirt {

namespace {

// Everything that is in none of these rows is configuration handed to the guest, not a disk it keeps data on.
struct KindRow {
  const char* member;
  Volume::Kind kind;
  const char* claim_member;  // member of the source that names the PVC, or nullptr
};
constexpr std::array<KindRow, 7> k_kinds{{
    {"persistentVolumeClaim", Volume::Kind::persistent_volume_claim, "claimName"},
    {"dataVolume", Volume::Kind::data_volume, "name"},
    {"memoryDump", Volume::Kind::memory_dump, "claimName"},
    {"hostDisk", Volume::Kind::host_disk, nullptr},
    {"containerDisk", Volume::Kind::ephemeral, nullptr},
    {"emptyDisk", Volume::Kind::ephemeral, nullptr},
    {"ephemeral", Volume::Kind::ephemeral, nullptr},
}};

}  // namespace

Volume decode_volume(const json::Reader& reader) {
  Volume volume;
  volume.name = reader.required_string("name");
  for (const KindRow& row : k_kinds) {
    const json::Reader source = reader.member(row.member);
    if (!source.present()) continue;
    volume.kind = row.kind;
    volume.source = row.member;
    if (row.claim_member != nullptr) volume.claim = source.required_string(row.claim_member);
    return volume;
  }
  for (const json::Member& member : reader.raw().members()) {
    if (member.second.is_object()) volume.source = member.first;
  }
  return volume;
}

namespace {

// A condition that is absent is not true.
bool condition_is_true(const json::Reader& status, std::string_view type) {
  bool found = false;
  status.for_each("conditions", [&](const json::Reader& condition) {
    if (condition.string("type") == type && condition.string("status") == "True") found = true;
  });
  return found;
}

}  // namespace

std::string VirtualMachine::annotation(const std::string& key) const {
  for (const auto& [word, value] : annotations) {
    if (word == key) return value;
  }
  return {};
}

base::Result<VirtualMachine> decode_virtual_machine(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VirtualMachine"));
  const json::Reader metadata = root.member("metadata");
  const json::Reader status = root.member("status");
  VirtualMachine vm;
  vm.ns = metadata.string("namespace");
  vm.name = metadata.required_string("name");
  vm.uid = metadata.required_string("uid");
  vm.resource_version = metadata.string("resourceVersion");
  vm.deleting = metadata.member("deletionTimestamp").present();
  vm.annotations = metadata.string_map("annotations");
  vm.printable_status = status.string("printableStatus");
  vm.snapshot_in_progress = status.string("snapshotInProgress");
  vm.restore_in_progress = status.string("restoreInProgress");
  const json::Reader spec = root.member("spec");
  const json::Reader instance = spec.member("template").member("spec");
  instance.for_each("volumes", [&](const json::Reader& volume) { vm.volumes.push_back(decode_volume(volume)); });
  vm.persistent_state = has_persistent_state(instance);
  vm.has_preference = spec.member("preference").present();
  spec.for_each("dataVolumeTemplates",
                [&](const json::Reader& made) { vm.data_volume_templates.push_back(made.member("metadata").required_string("name")); });
  status.for_each("volumeSnapshotStatuses", [&](const json::Reader& entry) {
    vm.snapshot_support.push_back({entry.required_string("name"), entry.optional_bool("enabled").value_or(false), entry.string("reason")});
  });
  if (std::optional<base::Error> error = root.error()) return *error;
  return vm;
}

base::Result<VirtualMachineInstance> decode_virtual_machine_instance(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VirtualMachineInstance"));
  const json::Reader metadata = root.member("metadata");
  const json::Reader status = root.member("status");
  VirtualMachineInstance vmi;
  vmi.ns = metadata.string("namespace");
  vmi.name = metadata.required_string("name");
  vmi.uid = metadata.required_string("uid");
  vmi.resource_version = metadata.string("resourceVersion");
  vmi.phase = status.string("phase");
  vmi.agent_connected = condition_is_true(status, "AgentConnected");
  vmi.paused = condition_is_true(status, "Paused");
  const json::Reader migration = status.member("migrationState");
  vmi.migrating =
      migration.present() && !migration.optional_bool("completed").value_or(false) && !migration.member("endTimestamp").present();
  vmi.deleting = metadata.member("deletionTimestamp").present();
  vmi.node = status.string("nodeName");
  // [kubevirt 1.9.0, api/core/v1/types.go VirtualMachineInstanceBackupStatus]
  const json::Reader backup = status.member("changedBlockTracking").member("backupStatus");
  if (backup.present() && !backup.optional_bool("completed").value_or(false)) vmi.backup_in_progress = backup.string("backupName");
  vmi.fs_freeze_status = status.string("fsFreezeStatus");
  vmi.guest_os_id = status.member("guestOSInfo").string("id");
  const json::Reader spec = root.member("spec");
  spec.for_each("volumes", [&](const json::Reader& volume) { vmi.volumes.push_back(decode_volume(volume)); });
  vmi.persistent_state = has_persistent_state(spec);
  spec.member("domain").member("devices").for_each("disks", [&](const json::Reader& disk) {
    vmi.disks.push_back({disk.required_string("name"), "", disk.string("serial"), disk.member("cdrom").present()});
  });
  status.for_each("volumeStatus", [&](const json::Reader& volume) {
    const std::string name = volume.required_string("name");
    if (volume.member("hotplugVolume").present()) vmi.hotplugged.push_back(name);
    for (InstanceDisk& disk : vmi.disks) {
      if (disk.volume == name) disk.target = volume.string("target");
    }
  });
  std::vector<std::string> pods;
  for (const auto& [pod, node] : status.string_map("activePods")) {
    if (node == vmi.node) pods.push_back(pod);
  }
  if (pods.size() == 1 && !vmi.node.empty()) vmi.active_pod = pods.front();
  if (std::optional<base::Error> error = root.error()) return *error;
  return vmi;
}

}  // namespace vmbackup::kubevirt
