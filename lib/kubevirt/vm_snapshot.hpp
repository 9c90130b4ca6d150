// VirtualMachineSnapshot, its content, and the VolumeSnapshots below it.
// [kubevirt 1.9.0, api/snapshot/v1beta1/types.go; external-snapshotter 8.6.0, client/apis/volumesnapshot/v1/types.go]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "json/value.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::kubevirt {

enum class SnapshotPhase { none, in_progress, succeeded, failed, deleting, unknown };

struct Condition {
  std::string type;
  std::string status;  // "True", "False", "Unknown"
  std::string reason;  // prose with blanks, on snapshots
  std::string message;
};

struct VmSnapshot {
  std::string ns;
  std::string name;
  std::string uid;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::pair<std::string, std::string>> annotations;
  base::WallTime created{};  // metadata.creationTimestamp
  bool deleting = false;     // metadata.deletionTimestamp is set
  std::string source_kind;
  std::string source_name;
  std::string source_uid;        // status.sourceUID
  std::string deletion_policy;   // "" = Delete; any other word than Delete behaves as Retain
  std::string failure_deadline;  // as it was sent; "" = KubeVirt's 5m
  SnapshotPhase phase = SnapshotPhase::none;
  std::string phase_text;  // the server's word
  bool ready_to_use = false;
  std::optional<base::WallTime> creation_time;  // when all cuts were made
  std::string content_name;
  std::string error;                     // status.error.message
  std::vector<std::string> indications;  // as KubeVirt writes them, unknown ones too
  std::vector<std::string> included_volumes;
  std::vector<std::string> excluded_volumes;
  std::vector<Condition> conditions;

  bool retains() const { return !deletion_policy.empty() && deletion_policy != "Delete"; }
  // Reason of the condition that stands in the way: Failure True, else Progressing False while not succeeded; may be empty.
  std::string obstacle() const;
  std::string label(const std::string& key) const;
};
base::Result<VmSnapshot> decode_vm_snapshot(const json::Value& object);

struct NewVmSnapshot {
  std::string ns;
  std::string name;
  std::string vm;
  std::string failure_deadline;  // Go duration; "" leaves KubeVirt's default
  std::string deletion_policy;   // "" leaves KubeVirt's default
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::pair<std::string, std::string>> annotations;
};
// The body of a create, for the API version `version`.
json::Value encode(const NewVmSnapshot& snapshot, const std::string& version);

// One PVC in a content; the order on the wire is random, decoded they are sorted by volume.
struct VolumeBackup {
  std::string volume;
  std::string claim;
  std::string storage_class;
  std::string volume_snapshot;  // empty: this claim was not snapshotted
};
struct VolumeCut {
  std::string volume_snapshot;
  std::optional<base::WallTime> creation_time;
  bool ready_to_use = false;
  std::string error;
};
struct VmSnapshotContent {
  std::string ns;
  std::string name;
  std::string uid;
  std::string snapshot_name;       // spec.virtualMachineSnapshotName
  std::vector<Volume> vm_volumes;  // of the VM as it was at the snapshot
  bool persistent_state = false;   // of its TPM or firmware (persistent_state.hpp)
  std::vector<VolumeBackup> backups;
  std::vector<VolumeCut> cuts;
  bool ready_to_use = false;
  std::string error;
};
base::Result<VmSnapshotContent> decode_vm_snapshot_content(const json::Value& object);
// "vmsnapshot-content-<snapshot UID>". [kubevirt 1.9.0, pkg/storage/snapshot/util.go]
std::string content_name_of(const std::string& snapshot_uid);
// The other way; empty for a name of another shape.
std::string snapshot_uid_of_content(const std::string& name);

struct VolumeSnapshot {
  std::string ns;
  std::string name;
  std::string uid;
  std::string claim;  // spec.source.persistentVolumeClaimName
  std::string snapshot_class;
  std::string bound_content;                    // VolumeSnapshotContent, "" before there is one
  std::optional<base::WallTime> creation_time;  // whole seconds; set = the cut was made
  bool ready_to_use = false;
  std::optional<std::uint64_t> restore_size;  // bytes that a volume made of it needs at least; not what it takes up
  std::string error;
};
base::Result<VolumeSnapshot> decode_volume_snapshot(const json::Value& object);
// "vmsnapshot-<snapshot UID>-volume-", which all VolumeSnapshots of one VirtualMachineSnapshot begin with.
std::string volume_snapshot_prefix(const std::string& snapshot_uid);
// The other way, from a whole name; empty for a name of another shape.
std::string snapshot_uid_of_volume_snapshot(const std::string& name);

}  // namespace vmbackup::kubevirt
