#include "kubevirt/storage.hpp"

#include "kubevirt/decode.hpp"
#include "kubevirt/persistent_state.hpp"

namespace vmbackup::kubevirt {

namespace {

using base::Result;

// The name of the controller among the owners, where it is of that kind.
std::string controller_of(const json::Reader& metadata, const char* kind) {
  std::string name;
  metadata.for_each("ownerReferences", [&](const json::Reader& owner) {
    if (owner.optional_bool("controller").value_or(false) && owner.string("kind") == kind) name = owner.string("name");
  });
  return name;
}

}  // namespace

Result<PersistentVolumeClaim> decode_claim(const json::Value& object) {
  const json::Reader root(object, what_of(object, "PersistentVolumeClaim"));
  const json::Reader metadata = root.member("metadata");
  const json::Reader spec = root.member("spec");
  PersistentVolumeClaim claim;
  claim.ns = metadata.string("namespace");
  claim.name = metadata.required_string("name");
  claim.deleting = metadata.member("deletionTimestamp").present();
  const std::string phase = root.member("status").string("phase");
  claim.bound = phase == "Bound";
  claim.lost = phase == "Lost";
  claim.scheduled = !spec.string("volumeName").empty();
  for (const auto& [key, value] : metadata.string_map("annotations")) {
    if (key == "volume.kubernetes.io/selected-node") claim.scheduled = true;
  }
  claim.storage_class = spec.optional_string("storageClassName");
  claim.volume_mode = spec.string("volumeMode");
  claim.data_volume = controller_of(metadata, "DataVolume");
  claim.state_of = metadata.member("labels").string(k_state_label);
  claim.created = metadata.string("creationTimestamp");
  if (std::optional<base::Error> error = root.error()) return *error;
  return claim;
}

Result<DataVolume> decode_data_volume(const json::Value& object) {
  const json::Reader root(object, what_of(object, "DataVolume"));
  const json::Reader metadata = root.member("metadata");
  DataVolume volume;
  volume.ns = metadata.string("namespace");
  volume.name = metadata.required_string("name");
  volume.phase = root.member("status").string("phase");
  if (std::optional<base::Error> error = root.error()) return *error;
  return volume;
}

Result<StorageClass> decode_storage_class(const json::Value& object) {
  const json::Reader root(object, what_of(object, "StorageClass"));
  StorageClass storage_class;
  storage_class.name = root.member("metadata").required_string("name");
  storage_class.provisioner = root.required_string("provisioner");
  storage_class.waits_for_consumer = root.string("volumeBindingMode") == "WaitForFirstConsumer";
  if (std::optional<base::Error> error = root.error()) return *error;
  return storage_class;
}

Result<VolumeSnapshotClass> decode_volume_snapshot_class(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VolumeSnapshotClass"));
  const json::Reader metadata = root.member("metadata");
  VolumeSnapshotClass snapshot_class;
  snapshot_class.name = metadata.required_string("name");
  snapshot_class.driver = root.required_string("driver");
  for (const auto& [key, value] : metadata.string_map("annotations")) {
    if (key == "snapshot.storage.kubernetes.io/is-default-class") snapshot_class.says_default = true;
  }
  if (std::optional<base::Error> error = root.error()) return *error;
  return snapshot_class;
}

Result<StorageProfile> decode_storage_profile(const json::Value& object) {
  const json::Reader root(object, what_of(object, "StorageProfile"));
  StorageProfile profile;
  profile.name = root.member("metadata").required_string("name");
  profile.snapshot_class = root.member("status").string("snapshotClass");
  if (std::optional<base::Error> error = root.error()) return *error;
  return profile;
}

Result<Pod> decode_pod(const json::Value& object) {
  const json::Reader root(object, what_of(object, "Pod"));
  const json::Reader metadata = root.member("metadata");
  Pod pod;
  pod.ns = metadata.string("namespace");
  pod.name = metadata.required_string("name");
  const std::string phase = root.member("status").string("phase");
  pod.succeeded = phase == "Succeeded";
  pod.failed = phase == "Failed";
  pod.deleting = metadata.member("deletionTimestamp").present();
  pod.instance = controller_of(metadata, "VirtualMachineInstance");
  pod.owner_pod = controller_of(metadata, "Pod");
  root.member("spec").for_each("volumes", [&](const json::Reader& volume) {
    const std::string claim = volume.member("persistentVolumeClaim").string("claimName");
    if (!claim.empty()) pod.claims.push_back(claim);
  });
  if (std::optional<base::Error> error = root.error()) return *error;
  return pod;
}

}  // namespace vmbackup::kubevirt
