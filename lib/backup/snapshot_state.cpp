#include "backup/snapshot_state.hpp"

#include <algorithm>

#include "kube/resource_version.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::SnapshotPhase;

std::string uid_of(const json::Value& object) { return object.path({"metadata", "uid"}).as_string(); }
std::string name_of(const json::Value& object) { return object.path({"metadata", "name"}).as_string(); }

}  // namespace

SnapshotState::SnapshotState(Observer& observer, base::Clock& clock, SnapshotTarget target, std::string api_version, Milestone milestone)
    : observer_(observer), clock_(clock), target_(std::move(target)), api_version_(std::move(api_version)), milestone_(milestone) {
  parts_.planned = std::move(target_.planned);
}

std::string SnapshotState::what() const { return kubevirt::describe(kubevirt::vm_snapshots(api_version_), target_.name); }

Result<SnapshotState::Verdict> SnapshotState::take_snapshot(const json::Value& object) {
  if (!target_.uid.empty() && uid_of(object) != target_.uid) {
    if (milestone_ == Milestone::deleted) return Verdict::reached;
    return Error(ErrorCode::not_found, what() + " was deleted by someone else and another made under its name (UID " + uid_of(object) +
                                           ", ours was " + target_.uid + ")");
  }
  if (overtaken(object)) return judge();
  Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(object);
  if (!snapshot.ok()) return snapshot.error();
  seen_ = true;
  parts_.snapshot = std::move(*snapshot);
  target_.uid = parts_.snapshot.uid;
  if (target_.vm.empty()) target_.vm = parts_.snapshot.source_name;
  if (!parts_.snapshot.error.empty()) last_error_ = parts_.snapshot.error;
  if (parts_.snapshot.phase == SnapshotPhase::in_progress) last_wait_ = parts_.snapshot.obstacle();
  tell_changes();
  if (is_of_other_vm()) {
    return Error(ErrorCode::internal, what() + " is of another VM than it was made for: " + target_.vm +
                                          " was deleted and made again under its name (UID " + parts_.snapshot.source_uid + ", it was " +
                                          target_.vm_uid + ")");
  }
  return judge();
}

// KubeVirt goes by the name, and writes down whatever VM it finds there, after the cut as well.
bool SnapshotState::is_of_other_vm() {
  const kubevirt::VmSnapshot& snapshot = parts_.snapshot;
  if (snapshot.phase != SnapshotPhase::in_progress || snapshot.source_uid.empty() || milestone_ == Milestone::deleted) return false;
  if (target_.vm_uid.empty()) target_.vm_uid = snapshot.source_uid;
  return snapshot.source_uid != target_.vm_uid;
}

// What was read by name may be newer than what the watch tells next.
bool SnapshotState::overtaken(const json::Value& object) {
  const std::string& version = object.path({"metadata", "resourceVersion"}).as_string();
  const auto newest = versions_.find(uid_of(object));
  if (newest != versions_.end() && kube::is_older(version, newest->second)) return true;
  if (newest != versions_.end()) newest->second = version;
  // Not for every one of thousands: only what was read by name can be overtaken.
  if (newest == versions_.end() && read_by_name_) versions_.emplace(uid_of(object), version);
  return false;
}

Result<SnapshotState::Verdict> SnapshotState::take_gone(const json::Value& object) {
  if (!target_.uid.empty() && uid_of(object) != target_.uid) return Verdict::waiting;
  observer_.on({Event::Kind::gone, target_.name.ns, target_.vm, what(), {}, {}, clock_.wall_now()});
  if (milestone_ == Milestone::deleted) return Verdict::reached;
  return Error(ErrorCode::not_found, what() + " was deleted by someone else while it was waited for");
}

Result<SnapshotState::Verdict> SnapshotState::take_absent() {
  if (milestone_ == Milestone::deleted) return Verdict::reached;
  return Error(ErrorCode::not_found, what() + (target_.uid.empty() ? " not found" : " was deleted by someone else"));
}

Result<SnapshotState::Verdict> SnapshotState::judge() const {
  const kubevirt::VmSnapshot& snapshot = parts_.snapshot;
  if (milestone_ == Milestone::deleted) return Verdict::waiting;
  if (snapshot.phase == SnapshotPhase::failed) return failure();
  if (snapshot.deleting) return Error(ErrorCode::not_found, what() + " is being deleted by someone else while it is waited for");
  if (snapshot.phase != SnapshotPhase::succeeded) return Verdict::waiting;
  if (milestone_ == Milestone::ready && !snapshot.ready_to_use) return Verdict::waiting;
  return Verdict::reached;
}

void SnapshotState::take_content(const json::Value& object) {
  if (overtaken(object)) return;
  Result<kubevirt::VmSnapshotContent> content = kubevirt::decode_vm_snapshot_content(object);
  if (!content.ok()) {
    tell(Event::Kind::warning, content.error().message());
    return;
  }
  parts_.content = std::move(*content);
  if (!parts_.content->error.empty()) last_error_ = parts_.content->error;
  if (seen_) tell_changes();
}

void SnapshotState::take_volume_snapshot(const json::Value& object, bool present) {
  if (present && overtaken(object)) return;
  std::vector<kubevirt::VolumeSnapshot>& list = parts_.volume_snapshots;
  const std::string name = name_of(object);
  std::erase_if(list, [&](const kubevirt::VolumeSnapshot& known) { return known.name == name; });
  if (present) {
    Result<kubevirt::VolumeSnapshot> snapshot = kubevirt::decode_volume_snapshot(object);
    if (snapshot.ok()) {
      list.push_back(std::move(*snapshot));
    } else {
      tell(Event::Kind::warning, snapshot.error().message());
    }
  }
  if (seen_) tell_changes();
}

void SnapshotState::lose_contents(const std::string& why) {
  unreadable_.push_back("VirtualMachineSnapshotContents may not be read: " + why);
}

void SnapshotState::lose_volume_snapshots(const std::string& why) {
  volumes_lost_ = true;
  unreadable_.push_back("VolumeSnapshots may not be read: " + why);
}

void SnapshotState::take_gap() { tell(Event::Kind::watch_gap); }

void SnapshotState::tell(Event::Kind kind, std::string text, std::string disk) {
  observer_.on({kind, target_.name.ns, target_.vm, target_.name.name, std::move(disk), std::move(text), clock_.wall_now()});
}

// Compares what is known now with what the observer was told, and tells the difference once.
void SnapshotState::tell_changes() {
  const SnapshotItem now = assemble(parts_);
  if (now.phase != told_.phase && !now.phase.empty()) tell(Event::Kind::phase, now.phase);
  if (now.obstacle != told_.obstacle && !now.obstacle.empty() && parts_.snapshot.phase != SnapshotPhase::failed) {
    tell(Event::Kind::waiting, now.obstacle);
  }
  for (const std::string& word : now.indications) {
    const bool known = std::find(told_.indications.begin(), told_.indications.end(), word) != told_.indications.end();
    if (!known) tell(Event::Kind::indication, word);
  }
  Told told{.phase = now.phase, .obstacle = now.obstacle, .indications = now.indications, .disk_errors = {}, .ready = now.ready_to_use};
  volumes_named_ = 0;
  for (const DiskReport& disk : now.disks) {
    if (!disk.error.empty()) told.disk_errors.emplace(disk.name, disk.error);
    if (disk.volume_snapshot.empty()) continue;
    ++volumes_named_;
    tell_disk(disk);
  }
  if (now.ready_to_use && !told_.ready) tell(Event::Kind::ready);
  look_for_hindrance(now);
  told_ = std::move(told);
}

void SnapshotState::look_for_hindrance(const SnapshotItem& now) {
  Hindrance found = hindrance_of(parts_, now);
  if (!(found == hindrance_)) hindered_since_ = clock_.now();
  hindrance_ = std::move(found);
}

void SnapshotState::tell_disk(const DiskReport& disk) {
  const auto error_told = told_.disk_errors.find(disk.name);
  const auto first = [&](Event::Kind kind) { return told_disks_.emplace(kind, disk.name).second; };
  if (first(Event::Kind::disk_begun)) tell(Event::Kind::disk_begun, disk.volume_snapshot, disk.name);
  if (!disk.error.empty() && (error_told == told_.disk_errors.end() || error_told->second != disk.error)) {
    tell(Event::Kind::disk_error, disk.error, disk.name);
  }
  if (disk.cut_time && first(Event::Kind::cut)) {
    observer_.on({Event::Kind::cut, target_.name.ns, target_.vm, target_.name.name, disk.name, {}, *disk.cut_time});
  }
  if (disk.ready.value_or(false) && first(Event::Kind::disk_ready)) tell(Event::Kind::disk_ready, {}, disk.name);
}

// Every VolumeSnapshot that the content names was seen, or none may be.
bool SnapshotState::volumes_seen() const { return volumes_lost_ || parts_.volume_snapshots.size() >= volumes_named_; }

// The snapshot's word may reach us before those of its parts, which come by watches of their own.
bool SnapshotState::settled(Milestone milestone) const {
  if (milestone == Milestone::deleted || !seen_) return true;
  const bool content_known = parts_.content.has_value() || !unreadable_.empty();
  return content_known && volumes_seen() && unfinished_disks(parts_, milestone == Milestone::ready).empty();
}

bool SnapshotState::cut() const { return seen_ && parts_.snapshot.phase == SnapshotPhase::succeeded && !parts_.snapshot.deleting; }

std::optional<SnapshotParts> SnapshotState::take_parts() {
  if (!seen_) return std::nullopt;
  return std::move(parts_);
}

Error SnapshotState::failure() const {
  std::string cause = last_error_;
  const std::string obstacle = parts_.snapshot.obstacle();
  if (cause.empty() && !last_wait_.empty()) {
    return Error(ErrorCode::internal,
                 what() + " failed: " + (obstacle.empty() ? "" : obstacle + "; ") + "it was never begun: " + last_wait_);
  }
  if (cause.empty()) return Error(ErrorCode::internal, what() + " failed: " + (obstacle.empty() ? "no reason given" : obstacle));
  return Error(ErrorCode::internal, what() + " failed: " + (obstacle.empty() ? "" : obstacle + "; ") + "last error: " + cause);
}

// Puts into words what was waited for when the wait ended without an end.
Error SnapshotState::explain(const Error& error) const {
  if (error.code() != ErrorCode::timeout && error.code() != ErrorCode::cancelled) return error.wrap("waiting for " + what());
  std::string state = seen_ ? state_in_words(parts_.snapshot) : what() + ", never seen";
  if (!told_.obstacle.empty()) state += " (" + told_.obstacle + ")";
  const std::string clause = error.code() == ErrorCode::timeout ? "the deadline passed: " : "interrupted: ";
  return Error(error.code(), clause + state).with_causes(error.causes());
}

std::string next_step(const kube::Name& name, const SnapshotParts* parts, const Error& error) {
  const auto command = [&](const std::string& words) { return "kubectl vmbackup " + words + name.name + " -n " + name.ns; };
  if (parts == nullptr) return error.hint();
  const kubevirt::VmSnapshot& snapshot = parts->snapshot;
  if (error.code() == ErrorCode::not_found)
    return "take a new one with: kubectl vmbackup snapshot " + snapshot.source_name + " -n " + name.ns;
  if (snapshot.phase == SnapshotPhase::failed || error.code() == ErrorCode::internal) return "remove it with: " + command("delete ");
  const std::vector<std::string>& words = snapshot.indications;
  const bool cut = snapshot.phase == SnapshotPhase::succeeded;
  const bool may_be_frozen = !cut && std::find(words.begin(), words.end(), "GuestAgent") != words.end();
  return std::string("the snapshot goes on in the cluster") + (may_be_frozen ? ", where KubeVirt thaws the guest" : "") +
         "; follow it with: " + command("wait vmsnapshot/");
}

}  // namespace vmbackup::backup
