#include "backup/evidence.hpp"

#include <algorithm>
#include <set>

#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Result;

const kubevirt::VolumeBackup* find_backup(const kubevirt::VmSnapshotContent& content, const std::string& volume) {
  for (const kubevirt::VolumeBackup& backup : content.backups) {
    if (backup.volume == volume && !backup.volume_snapshot.empty()) return &backup;
  }
  return nullptr;
}

std::optional<base::WallTime> cut_time(const kubevirt::VmSnapshotContent& content, const std::string& volume_snapshot) {
  for (const kubevirt::VolumeCut& cut : content.cuts) {
    if (cut.volume_snapshot == volume_snapshot) return cut.creation_time;
  }
  return std::nullopt;
}

std::string handle_of(const SnapshotParts& parts, const std::string& volume_snapshot) {
  for (const kubevirt::VolumeSnapshot& snapshot : parts.volume_snapshots) {
    if (snapshot.name == volume_snapshot) return snapshot.bound_content;
  }
  return {};
}

// Times are written with milliseconds.
bool same_time(const std::optional<base::WallTime>& left, const std::optional<base::WallTime>& right) {
  if (!left || !right) return left == right;
  return std::chrono::floor<std::chrono::milliseconds>(*left) == std::chrono::floor<std::chrono::milliseconds>(*right);
}

void compare_disk(const EvidenceDisk& disk, const SnapshotParts& parts, std::vector<std::string>& differences) {
  const std::string which = "disk " + disk.name + ": ";
  const kubevirt::VolumeBackup* backup = find_backup(*parts.content, disk.name);
  if (backup == nullptr) {
    differences.push_back(which + "recorded as included, but the content does not hold it");
    return;
  }
  if (backup->volume_snapshot != disk.volume_snapshot) {
    differences.push_back(which + "recorded with VolumeSnapshot " + disk.volume_snapshot + ", the content has " + backup->volume_snapshot);
    return;
  }
  if (backup->claim != disk.claim)
    differences.push_back(which + "recorded with claim " + disk.claim + ", the content has " + backup->claim);
  if (!same_time(cut_time(*parts.content, disk.volume_snapshot), disk.creation_time)) {
    differences.push_back(which + "the time of its cut is not the recorded one");
  }
  const std::string handle = handle_of(parts, disk.volume_snapshot);
  if (!handle.empty() && !disk.handle.empty() && handle != disk.handle) {
    differences.push_back(which + "its VolumeSnapshot is bound to " + handle + ", recorded is " + disk.handle);
  }
}

void compare_disks(const Evidence& recorded, const SnapshotParts& parts, std::vector<std::string>& differences) {
  std::set<std::string> known;
  for (const EvidenceDisk& disk : recorded.disks.value_or(std::vector<EvidenceDisk>{})) {
    if (!disk.included) continue;
    known.insert(disk.name);
    compare_disk(disk, parts, differences);
  }
  for (const kubevirt::VolumeBackup& backup : parts.content->backups) {
    if (!backup.volume_snapshot.empty() && known.count(backup.volume) == 0) {
      differences.push_back("disk " + backup.volume + ": in the content, but not recorded as included");
    }
  }
}

std::set<std::string> set_of(const std::vector<std::string>& words) { return {words.begin(), words.end()}; }

// A snapshot that is not done, or failed, has no level yet or none at all.
std::optional<std::string> not_finished(const kubevirt::VmSnapshot& snapshot) {
  if (snapshot.phase == kubevirt::SnapshotPhase::succeeded && !snapshot.deleting) return std::nullopt;
  if (snapshot.phase == kubevirt::SnapshotPhase::failed) return "the snapshot failed";
  return snapshot.deleting ? "the snapshot is being deleted" : "the snapshot is not finished";
}

}  // namespace

Offset offset_of(base::TimePoint t0, base::TimePoint when, Edge edge) {
  return edge == Edge::begin ? std::chrono::floor<Offset>(when - t0) : std::chrono::ceil<Offset>(when - t0);
}

std::optional<Offset> last_cut(const Evidence& evidence) {
  std::optional<Offset> last;
  for (const EvidenceDisk& disk : evidence.disks.value_or(std::vector<EvidenceDisk>{})) {
    if (!disk.included) continue;
    if (!disk.cut_seen) return std::nullopt;
    if (!last || *disk.cut_seen > *last) last = disk.cut_seen;
  }
  return last;
}

bool counts_as_windows(const Evidence& evidence) {
  return evidence.guest_os.empty() || evidence.guest_os.find("windows") != std::string::npos;
}

std::vector<EvidenceDisk> disks_of(const SnapshotParts& parts) {
  std::vector<EvidenceDisk> disks;
  for (const DiskReport& report : assemble(parts).disks) {
    EvidenceDisk disk;
    disk.name = report.name;
    disk.claim = report.claim;
    disk.volume_snapshot = report.volume_snapshot;
    disk.handle = handle_of(parts, report.volume_snapshot);
    disk.included = report.included;
    disk.counts = report.counts;
    disk.reason = report.reason;
    disk.file_system = report.file_system;
    disk.accepted_raw = report.accepted_raw;
    disk.shared = report.shared;
    if (parts.content && report.included) disk.creation_time = cut_time(*parts.content, report.volume_snapshot);
    if (!disk.creation_time && report.included) disk.creation_time = report.cut_time;
    disks.push_back(std::move(disk));
  }
  return disks;
}

Evidence inferred_evidence(const SnapshotParts& parts) {
  Evidence evidence;
  evidence.inferred = true;
  evidence.snapshot_uid = parts.snapshot.uid;
  evidence.vm_uid = parts.snapshot.source_uid;
  if (parts.content) evidence.content_uid = parts.content->uid;
  evidence.indications = parts.snapshot.indications;
  evidence.disks = disks_of(parts);
  return evidence;
}

std::vector<std::string> mismatches(const Evidence& recorded, const SnapshotParts& parts) {
  std::vector<std::string> differences;
  const auto compare = [&differences](const char* what, const std::string& written, const std::string& found) {
    if (written == found) return;
    differences.push_back("the recorded evidence is of " + std::string(what) + " " + (written.empty() ? "(none)" : written) + ", this is " +
                          (found.empty() ? "(none)" : found));
  };
  compare("the snapshot with UID", recorded.snapshot_uid, parts.snapshot.uid);
  compare("the VM with UID", recorded.vm_uid, parts.snapshot.source_uid);
  if (!parts.content) {
    differences.emplace_back("the recorded evidence cannot be compared with the snapshot's content, which was not read");
    return differences;
  }
  compare("the content with UID", recorded.content_uid, parts.content->uid);
  compare_disks(recorded, parts, differences);
  if (recorded.indications && set_of(*recorded.indications) != set_of(parts.snapshot.indications)) {
    differences.emplace_back("the recorded indications are not those of the snapshot");
  }
  return differences;
}

SnapshotEvidence evidence_of(const SnapshotParts& parts, bool ignore_recorded) {
  SnapshotEvidence found;
  const std::vector<std::pair<std::string, std::string>>& annotations = parts.snapshot.annotations;
  const auto annotation =
      std::find_if(annotations.begin(), annotations.end(), [](const auto& pair) { return pair.first == kubevirt::k_evidence_annotation; });
  if (annotation == annotations.end() || ignore_recorded) {
    found.evidence = inferred_evidence(parts);
  } else if (Result<Evidence> decoded = kubevirt::decode_evidence(annotation->second); decoded.ok()) {
    found.source = EvidenceSource::recorded;
    found.evidence = std::move(*decoded);
    found.against = mismatches(found.evidence, parts);
  } else {
    found.source = EvidenceSource::unreadable;
    found.evidence = inferred_evidence(parts);
    found.against.push_back("the recorded evidence cannot be read: " + decoded.error().message());
  }
  if (std::optional<std::string> why = not_finished(parts.snapshot)) found.against.push_back(std::move(*why));
  return found;
}

Result<void> record_evidence(kube::Client& client, const std::string& api_version, const kube::Name& name, const Evidence& evidence,
                             const kube::Call& call, const std::stop_token& stop) {
  const Result<std::string> text = kubevirt::encode(evidence);
  if (!text.ok()) return text.error();
  const Result<json::Value> answer = client.patch(kubevirt::vm_snapshots(api_version), name, kube::PatchType::merge,
                                                  kubevirt::evidence_patch(evidence.snapshot_uid, *text), call, stop);
  if (!answer.ok()) return answer.error();
  return {};
}

}  // namespace vmbackup::backup
