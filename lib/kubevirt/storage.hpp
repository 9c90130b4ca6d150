// What stands behind a VM's disks: claims, classes, and the pods that use them. The few fields that decide whether a disk can be
// snapshotted.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "json/value.hpp"

namespace vmbackup::kubevirt {

// All decoders: invalid: a field has another type than the API says; the message holds its path.

struct PersistentVolumeClaim {
  std::string ns;
  std::string name;
  bool deleting = false;
  bool bound = false;
  bool lost = false;                         // its volume is gone for good
  bool scheduled = false;                    // a volume is named for it, or a node on which it is to be made
  std::optional<std::string> storage_class;  // none: not set, which is not the same as empty
  std::string volume_mode;                   // "Block", "Filesystem"
  std::string data_volume;                   // that owns it as its controller, or empty
  std::string state_of;                      // the VM whose persistent state it holds (persistent_state.hpp), or empty
  std::string created;                       // as the server writes it, which sorts by time
};
base::Result<PersistentVolumeClaim> decode_claim(const json::Value& object);

struct DataVolume {
  std::string ns;
  std::string name;
  std::string phase;  // "ImportInProgress", "Succeeded", ...; empty on a new one
  bool succeeded() const { return phase == "Succeeded"; }
};
base::Result<DataVolume> decode_data_volume(const json::Value& object);

struct StorageClass {
  std::string name;
  std::string provisioner;
  bool waits_for_consumer = false;  // volumeBindingMode WaitForFirstConsumer
};
base::Result<StorageClass> decode_storage_class(const json::Value& object);

struct VolumeSnapshotClass {
  std::string name;
  std::string driver;
  bool says_default = false;  // carries the annotation snapshot.storage.kubernetes.io/is-default-class, whatever its value
};
base::Result<VolumeSnapshotClass> decode_volume_snapshot_class(const json::Value& object);

// Of the StorageClass of the same name. [containerized-data-importer-api, pkg/apis/core/v1beta1/types.go]
struct StorageProfile {
  std::string name;
  std::string snapshot_class;  // status.snapshotClass
};
base::Result<StorageProfile> decode_storage_profile(const json::Value& object);

struct Pod {
  std::string ns;
  std::string name;
  bool succeeded = false;
  bool failed = false;
  bool deleting = false;
  std::string instance;   // the VirtualMachineInstance that owns it as its controller, or empty
  std::string owner_pod;  // the pod that does: that of a hot-plugged volume is owned by the instance's
  std::vector<std::string> claims;
};
base::Result<Pod> decode_pod(const json::Value& object);

}  // namespace vmbackup::kubevirt
