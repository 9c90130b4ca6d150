#include "backup/assemble.hpp"

#include <algorithm>

#include "backup/lookup.hpp"
#include "backup/run_id.hpp"
#include "kubevirt/persistent_state.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// The disks of the VM at the time of the snapshot, before it is known what became of them.
std::vector<DiskReport> expected_disks(const SnapshotParts& parts) {
  if (!parts.planned.empty()) return parts.planned;
  std::vector<DiskReport> disks;
  if (!parts.content) {
    // Names alone: configuration volumes stand among the excluded ones, so nothing can be said about completeness.
    for (const std::string& name : parts.snapshot.included_volumes) disks.push_back({.name = name, .included = true});
    for (const std::string& name : parts.snapshot.excluded_volumes) disks.push_back({.name = name, .counts = false});
    return disks;
  }
  for (const kubevirt::Volume& volume : parts.content->vm_volumes) {
    if (volume.kind != kubevirt::Volume::Kind::configuration) disks.push_back(disk_of(volume));
  }
  return disks;
}

DiskReport& find_or_add(std::vector<DiskReport>& disks, const std::string& name) {
  for (DiskReport& disk : disks) {
    if (disk.name == name) return disk;
  }
  // A claim that KubeVirt adds by itself.
  disks.push_back({.name = name, .source = k_backend_storage});
  return disks.back();
}

void add_volume_snapshot(const SnapshotParts& parts, DiskReport& disk) {
  if (parts.content) {
    for (const kubevirt::VolumeCut& cut : parts.content->cuts) {
      if (cut.volume_snapshot != disk.volume_snapshot) continue;
      disk.cut_time = cut.creation_time;
      disk.ready = cut.ready_to_use;
      disk.error = cut.error;
    }
  }
  for (const kubevirt::VolumeSnapshot& snapshot : parts.volume_snapshots) {
    if (snapshot.name != disk.volume_snapshot) continue;
    disk.snapshot_class = snapshot.snapshot_class;
    disk.restore_size = snapshot.restore_size;
    if (!disk.cut_time) disk.cut_time = snapshot.creation_time;
    disk.ready = snapshot.ready_to_use;
    disk.error = snapshot.error;
  }
}

// The snapshot's own objects say which disks are in it.
bool is_told(const SnapshotParts& parts) { return parts.content.has_value() || parts.snapshot.phase == kubevirt::SnapshotPhase::succeeded; }

// What the snapshot's own objects say of each disk, over what was expected.
void settle_disks(const SnapshotParts& parts, std::vector<DiskReport>& disks) {
  if (!is_told(parts)) return;
  if (parts.content && parts.content->persistent_state) find_or_add(disks, kubevirt::state_volume_of(parts.snapshot.source_name));
  for (DiskReport& disk : disks) disk.included = contains(parts.snapshot.included_volumes, disk.name);
  if (parts.content) {
    for (const kubevirt::VolumeBackup& backup : parts.content->backups) {
      DiskReport& disk = find_or_add(disks, backup.volume);
      disk.claim = backup.claim;
      disk.included = !backup.volume_snapshot.empty();
      disk.volume_snapshot = backup.volume_snapshot;
      if (disk.included) add_volume_snapshot(parts, disk);
    }
  }
  for (DiskReport& disk : disks) {
    if (disk.included) disk.reason.clear();
    if (!disk.included && disk.reason.empty()) disk.reason = "KubeVirt left it out";
  }
}

// A failed snapshot protects nothing, whatever was begun for it.
void drop_disks_of_failed(const SnapshotParts& parts, std::vector<DiskReport>& disks) {
  if (parts.snapshot.phase != kubevirt::SnapshotPhase::failed) return;
  for (DiskReport& disk : disks) {
    if (disk.included) disk.reason = "the snapshot failed";
    disk.included = false;
  }
}

void judge_completeness(const SnapshotParts& parts, SnapshotItem& item) {
  if (parts.snapshot.phase == kubevirt::SnapshotPhase::failed) return;
  const bool told = is_told(parts);
  bool any = false;
  bool all = true;
  for (const DiskReport& disk : item.disks) {
    any = any || disk.included;
    if (disk.included || !disk.counts) continue;
    all = false;
    if (told) item.reasons.push_back("disk " + disk.name + " is not in the snapshot: " + disk.reason);
  }
  const bool known = parts.content.has_value() || !parts.planned.empty();
  if (!known && told) item.reasons.push_back("whether all disks are included is not known: the snapshot's content cannot be read");
  if (told && !any) item.reasons.push_back("the snapshot holds no disk");
  item.complete = told && known && any && all;
}

}  // namespace

DiskReport disk_of(const kubevirt::Volume& volume) {
  using Kind = kubevirt::Volume::Kind;
  DiskReport disk{.name = volume.name, .source = volume.source, .claim = volume.claim};
  disk.counts = volume.kind != Kind::ephemeral && volume.kind != Kind::memory_dump;
  if (volume.kind == Kind::ephemeral) disk.reason = volume.source + " keeps nothing over a restart";
  if (volume.kind == Kind::host_disk) disk.reason = "a hostDisk is never part of a snapshot";
  return disk;
}

std::string state_in_words(const kubevirt::VmSnapshot& snapshot) {
  std::string state = snapshot.phase_text.empty() ? "not taken up yet" : snapshot.phase_text;
  if (snapshot.deleting) state = "being deleted";
  if (snapshot.phase == kubevirt::SnapshotPhase::succeeded && !snapshot.ready_to_use) state += ", not ready to use";
  return kubevirt::describe(kubevirt::vm_snapshots(""), {snapshot.ns, snapshot.name}) + ", " + state;
}

SnapshotItem assemble(const SnapshotParts& parts) {
  const kubevirt::VmSnapshot& snapshot = parts.snapshot;
  SnapshotItem item;
  item.ns = snapshot.ns;
  item.vm = snapshot.source_name;
  item.name = snapshot.name;
  item.uid = snapshot.uid;
  item.vm_uid = snapshot.source_uid;
  item.labels = snapshot.labels;
  std::sort(item.labels.begin(), item.labels.end());
  item.deleting = snapshot.deleting;
  item.phase = snapshot.phase_text;
  item.ready_to_use = snapshot.ready_to_use;
  item.indications = snapshot.indications;
  item.deletion_policy = snapshot.deletion_policy.empty() ? "Delete" : snapshot.deletion_policy;
  item.failure_deadline = snapshot.failure_deadline.empty() ? k_default_failure_deadline : snapshot.failure_deadline;
  item.run = snapshot.label(k_run_label);
  item.content = parts.content ? parts.content->name : snapshot.content_name;
  item.created = snapshot.created;
  item.creation_time = snapshot.creation_time;
  item.obstacle = snapshot.error.empty() ? snapshot.obstacle() : snapshot.error;
  item.disks = expected_disks(parts);
  settle_disks(parts, item.disks);
  drop_disks_of_failed(parts, item.disks);
  judge_completeness(parts, item);
  sum_sizes(item);
  return item;
}

Outcome outcome_of(const kubevirt::VmSnapshot& snapshot) {
  const bool good = snapshot.phase == kubevirt::SnapshotPhase::succeeded && snapshot.ready_to_use && !snapshot.deleting;
  return good ? Outcome::done : Outcome::failed;
}

void sum_sizes(SnapshotItem& item) {
  item.restore_size.reset();
  std::uint64_t sum = 0;
  bool any = false;
  for (const DiskReport& disk : item.disks) {
    if (!disk.included) continue;
    if (!disk.restore_size) return;
    any = true;
    sum += *disk.restore_size;
  }
  if (any) item.restore_size = sum;
}

std::vector<std::string> unfinished_disks(const SnapshotParts& parts, bool ready) {
  std::vector<std::string> unfinished;
  for (const DiskReport& disk : assemble(parts).disks) {
    if (!disk.included || disk.volume_snapshot.empty()) continue;
    if (!disk.cut_time || (ready && !disk.ready.value_or(false))) unfinished.push_back(disk.name);
  }
  return unfinished;
}

}  // namespace vmbackup::backup
