#include "kubevirt/vm_snapshot.hpp"

#include <algorithm>
#include <string_view>

#include "base/text.hpp"
#include "json/reader.hpp"
#include "kube/quantity.hpp"
#include "kubevirt/decode.hpp"
#include "kubevirt/persistent_state.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::kubevirt {

namespace {

// [kubevirt 1.9.0, pkg/storage/snapshot/util.go and snapshot.go]
constexpr std::string_view k_content = "vmsnapshot-content-";
constexpr std::string_view k_volume_snapshot = "vmsnapshot-";
constexpr std::string_view k_volume = "-volume-";

// A time that cannot be read counts as absent: a strange clock text must not hide the rest of the object.
std::optional<base::WallTime> optional_time(const json::Reader& reader, const char* key) {
  const std::optional<std::string> text = reader.optional_string(key);
  if (!text) return std::nullopt;
  const base::Result<base::WallTime> time = base::parse_time(*text);
  if (!time.ok()) return std::nullopt;
  return *time;
}

SnapshotPhase phase_of(const std::string& text) {
  if (text.empty()) return SnapshotPhase::none;
  if (text == "InProgress") return SnapshotPhase::in_progress;
  if (text == "Succeeded") return SnapshotPhase::succeeded;
  if (text == "Failed") return SnapshotPhase::failed;
  if (text == "Deleting") return SnapshotPhase::deleting;
  return SnapshotPhase::unknown;
}

json::Value string_map(const std::vector<std::pair<std::string, std::string>>& pairs) {
  json::Value map = json::Value::object();
  for (const auto& [key, value] : pairs) map.set(key, value);
  return map;
}

void decode_snapshot_status(const json::Reader& status, VmSnapshot& snapshot) {
  snapshot.source_uid = status.string("sourceUID");
  snapshot.phase_text = status.string("phase");
  snapshot.phase = phase_of(snapshot.phase_text);
  snapshot.ready_to_use = status.optional_bool("readyToUse").value_or(false);
  snapshot.creation_time = optional_time(status, "creationTime");
  snapshot.content_name = status.string("virtualMachineSnapshotContentName");
  snapshot.error = status.member("error").string("message");
  snapshot.indications = status.strings("indications");
  // Newer servers may one day leave the deprecated list out: what it lacks is taken from sourceIndications.
  status.for_each("sourceIndications", [&](const json::Reader& entry) {
    const std::string word = entry.string("indication");
    const bool known = std::find(snapshot.indications.begin(), snapshot.indications.end(), word) != snapshot.indications.end();
    if (!word.empty() && !known) snapshot.indications.push_back(word);
  });
  const json::Reader volumes = status.member("snapshotVolumes");
  snapshot.included_volumes = volumes.strings("includedVolumes");
  snapshot.excluded_volumes = volumes.strings("excludedVolumes");
  status.for_each("conditions", [&](const json::Reader& condition) {
    snapshot.conditions.push_back(
        {condition.string("type"), condition.string("status"), condition.string("reason"), condition.string("message")});
  });
}

}  // namespace

std::string VmSnapshot::obstacle() const {
  for (const Condition& condition : conditions) {
    if (condition.type == "Failure" && condition.status == "True") return condition.reason;
  }
  if (phase == SnapshotPhase::succeeded) return {};
  for (const Condition& condition : conditions) {
    if (condition.type == "Progressing" && condition.status == "False") return condition.reason;
  }
  return {};
}

std::string VmSnapshot::label(const std::string& key) const {
  for (const auto& [label, value] : labels) {
    if (label == key) return value;
  }
  return {};
}

base::Result<VmSnapshot> decode_vm_snapshot(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VirtualMachineSnapshot"));
  const json::Reader metadata = root.member("metadata");
  const json::Reader spec = root.member("spec");
  VmSnapshot snapshot;
  snapshot.ns = metadata.string("namespace");
  snapshot.name = metadata.required_string("name");
  snapshot.uid = metadata.required_string("uid");
  snapshot.labels = metadata.string_map("labels");
  snapshot.annotations = metadata.string_map("annotations");
  snapshot.created = optional_time(metadata, "creationTimestamp").value_or(base::WallTime{});
  snapshot.deleting = metadata.member("deletionTimestamp").present();
  snapshot.source_kind = spec.member("source").string("kind");
  snapshot.source_name = spec.member("source").string("name");
  snapshot.deletion_policy = spec.string("deletionPolicy");
  snapshot.failure_deadline = spec.string("failureDeadline");
  decode_snapshot_status(root.member("status"), snapshot);
  if (std::optional<base::Error> error = root.error()) return *error;
  return snapshot;
}

json::Value encode(const NewVmSnapshot& snapshot, const std::string& version) {
  json::Value metadata = json::Value::object({{"name", snapshot.name}, {"namespace", snapshot.ns}});
  if (!snapshot.labels.empty()) metadata.set("labels", string_map(snapshot.labels));
  if (!snapshot.annotations.empty()) metadata.set("annotations", string_map(snapshot.annotations));
  json::Value spec = json::Value::object(
      {{"source", json::Value::object({{"apiGroup", "kubevirt.io"}, {"kind", "VirtualMachine"}, {"name", snapshot.vm}})}});
  if (!snapshot.deletion_policy.empty()) spec.set("deletionPolicy", snapshot.deletion_policy);
  if (!snapshot.failure_deadline.empty()) spec.set("failureDeadline", snapshot.failure_deadline);
  return json::Value::object({{"apiVersion", std::string(k_snapshot_group) + "/" + version},
                              {"kind", "VirtualMachineSnapshot"},
                              {"metadata", std::move(metadata)},
                              {"spec", std::move(spec)}});
}

std::string content_name_of(const std::string& snapshot_uid) { return std::string(k_content) + snapshot_uid; }

std::string snapshot_uid_of_content(const std::string& name) {
  return name.starts_with(k_content) ? name.substr(k_content.size()) : std::string();
}

std::string volume_snapshot_prefix(const std::string& snapshot_uid) {
  return std::string(k_volume_snapshot) + snapshot_uid + std::string(k_volume);
}

std::string snapshot_uid_of_volume_snapshot(const std::string& name) {
  if (!name.starts_with(k_volume_snapshot)) return {};
  // The name of the volume may hold the same word; a UID does not.
  const std::size_t end = name.find(k_volume, k_volume_snapshot.size());
  return end == std::string::npos ? std::string() : name.substr(k_volume_snapshot.size(), end - k_volume_snapshot.size());
}

base::Result<VmSnapshotContent> decode_vm_snapshot_content(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VirtualMachineSnapshotContent"));
  const json::Reader metadata = root.member("metadata");
  const json::Reader spec = root.member("spec");
  const json::Reader status = root.member("status");
  VmSnapshotContent content;
  content.ns = metadata.string("namespace");
  content.name = metadata.required_string("name");
  content.uid = metadata.required_string("uid");
  content.snapshot_name = spec.string("virtualMachineSnapshotName");
  const json::Reader instance = spec.member("source").member("virtualMachine").member("spec").member("template").member("spec");
  instance.for_each("volumes", [&](const json::Reader& volume) { content.vm_volumes.push_back(decode_volume(volume)); });
  content.persistent_state = has_persistent_state(instance);
  spec.for_each("volumeBackups", [&](const json::Reader& backup) {
    const json::Reader claim = backup.member("persistentVolumeClaim");
    content.backups.push_back({backup.required_string("volumeName"), claim.member("metadata").string("name"),
                               claim.member("spec").string("storageClassName"), backup.string("volumeSnapshotName")});
  });
  std::sort(content.backups.begin(), content.backups.end(),
            [](const VolumeBackup& left, const VolumeBackup& right) { return left.volume < right.volume; });
  content.ready_to_use = status.optional_bool("readyToUse").value_or(false);
  content.error = status.member("error").string("message");
  status.for_each("volumeSnapshotStatus", [&](const json::Reader& cut) {
    content.cuts.push_back({cut.required_string("volumeSnapshotName"), optional_time(cut, "creationTime"),
                            cut.optional_bool("readyToUse").value_or(false), cut.member("error").string("message")});
  });
  if (std::optional<base::Error> error = root.error()) return *error;
  return content;
}

base::Result<VolumeSnapshot> decode_volume_snapshot(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VolumeSnapshot"));
  const json::Reader metadata = root.member("metadata");
  const json::Reader status = root.member("status");
  VolumeSnapshot snapshot;
  snapshot.ns = metadata.string("namespace");
  snapshot.name = metadata.required_string("name");
  snapshot.uid = metadata.required_string("uid");
  snapshot.claim = root.member("spec").member("source").string("persistentVolumeClaimName");
  snapshot.snapshot_class = root.member("spec").string("volumeSnapshotClassName");
  snapshot.bound_content = status.string("boundVolumeSnapshotContentName");
  snapshot.creation_time = optional_time(status, "creationTime");
  snapshot.ready_to_use = status.optional_bool("readyToUse").value_or(false);
  snapshot.restore_size = kube::parse_quantity(status.string("restoreSize"));
  snapshot.error = status.member("error").string("message");
  if (std::optional<base::Error> error = root.error()) return *error;
  return snapshot;
}

}  // namespace vmbackup::kubevirt
