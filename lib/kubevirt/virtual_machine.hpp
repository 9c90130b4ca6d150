// VirtualMachine and VirtualMachineInstance, the fields that a backup looks at.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "json/value.hpp"

namespace vmbackup::kubevirt {

// One entry of spec.template.spec.volumes. [kubevirt 1.9.0, api/core/v1/schema.go VolumeSource]
struct Volume {
  enum class Kind {
    persistent_volume_claim,
    data_volume,
    memory_dump,
    host_disk,      // written by the guest, never in a snapshot
    ephemeral,      // emptyDisk, ephemeral, containerDisk: gone with the instance
    configuration,  // cloud-init, config map, secret, ...: no disk of the guest's own
  };
  std::string name;
  Kind kind = Kind::configuration;
  std::string source;  // the member's own word: "persistentVolumeClaim", "containerDisk", ...
  std::string claim;   // the PVC's name for the first three kinds, else empty
};

// vm.status.volumeSnapshotStatuses: what virt-controller thinks of a volume. [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go]
struct VolumeSnapshotSupport {
  std::string name;
  bool enabled = false;
  std::string reason;
};

struct VirtualMachine {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  bool deleting = false;
  std::vector<std::pair<std::string, std::string>> annotations;
  std::string printable_status;      // "Running", "Stopped", ...; empty on a new one
  std::string snapshot_in_progress;  // name of the snapshot that locks it, or empty
  std::string restore_in_progress;
  std::vector<Volume> volumes;
  std::vector<std::string> data_volume_templates;       // names of the DataVolumes that KubeVirt makes for it, also while it is stopped
  std::vector<VolumeSnapshotSupport> snapshot_support;  // may be empty on a new VM
  bool persistent_state = false;                        // of TPM or firmware (persistent_state.hpp), in a claim that is none of `volumes`
  bool has_preference = false;                          // which may say more of TPM and firmware than stands here
  // Empty where there is none.
  std::string annotation(const std::string& key) const;
};

// invalid: a field has another type than the API says; the message holds its path.
base::Result<VirtualMachine> decode_virtual_machine(const json::Value& object);

// One disk of a running instance. [kubevirt 1.9.0, api/core/v1/schema.go Disk; pkg/virt-handler/vm.go: updateVolumeStatusesFromDomain]
struct InstanceDisk {
  std::string volume;
  std::string target;  // "vda": what libvirt calls it; most guests, but not all, do so too. Empty while it is not attached
  std::string serial;  // spec.domain.devices.disks[].serial, often empty
  bool cdrom = false;
};

struct VirtualMachineInstance {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string phase;             // "Running", ...
  bool agent_connected = false;  // condition AgentConnected; removed, never False, when the agent leaves
  bool paused = false;
  bool deleting = false;
  bool migrating = false;               // migrationState without an end
  std::string node;                     // status.nodeName; another one after a migration
  std::string backup_in_progress;       // name of the VirtualMachineBackup under way (1.8 and later), or empty
  std::string fs_freeze_status;         // "frozen" or empty; a poll of 5 s
  std::string guest_os_id;              // guestOSInfo.id, empty when unknown
  std::vector<std::string> hotplugged;  // volumes of status.volumeStatus that carry hotplugVolume
  std::vector<Volume> volumes;          // spec.volumes
  std::vector<InstanceDisk> disks;      // spec.domain.devices.disks, in that order
  bool persistent_state = false;        // of TPM or firmware, with what the VM's preference says of them
  std::string active_pod;               // UID of the one pod of status.activePods on `node`; empty where there is none or more than one
  bool final() const { return phase == "Succeeded" || phase == "Failed"; }
};
base::Result<VirtualMachineInstance> decode_virtual_machine_instance(const json::Value& object);

}  // namespace vmbackup::kubevirt
