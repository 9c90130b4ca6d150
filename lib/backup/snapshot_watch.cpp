#include "backup/snapshot_watch.hpp"

#include <algorithm>

#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::SnapshotPhase;

// How long the cut times and readiness of single disks may lag behind the snapshot's own word before the report goes without them.
constexpr base::Duration k_settle = std::chrono::seconds(2);

std::string uid_of(const json::Value& object) { return object.path({"metadata", "uid"}).as_string(); }
std::string name_of(const json::Value& object) { return object.path({"metadata", "name"}).as_string(); }

const DiskReport* find_disk(const SnapshotItem& item, const std::string& name) {
  for (const DiskReport& disk : item.disks) {
    if (disk.name == name) return &disk;
  }
  return nullptr;
}

}  // namespace

SnapshotWatch::SnapshotWatch(kube::Client& client, base::Clock& clock, Observer& observer, Target target)
    : client_(client), clock_(clock), observer_(observer), target_(std::move(target)), follower_(client, clock) {
  snapshot_source_ = follower_.follow(kubevirt::vm_snapshots(target_.api_version), target_.name.ns,
                                      {.label_selector = {}, .field_selector = "metadata.name=" + target_.name.name, .optional = false});
  parts_.planned = target_.planned;
  if (!target_.uid.empty()) follow_parts();
}

SnapshotWatch::~SnapshotWatch() = default;

std::string SnapshotWatch::what() const { return kubevirt::describe(kubevirt::vm_snapshots(target_.api_version), target_.name); }

// The objects below the snapshot carry its UID in their names, and its VM in a label. [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go]
void SnapshotWatch::follow_parts() {
  if (content_source_ == 0 && !target_.uid.empty()) {
    content_source_ = follower_.follow(
        kubevirt::vm_snapshot_contents(target_.api_version), target_.name.ns,
        {.label_selector = {}, .field_selector = "metadata.name=" + kubevirt::content_name_of(target_.uid), .optional = true});
  }
  if (volume_source_ == 0 && !target_.vm.empty()) {
    volume_source_ =
        follower_.follow(kubevirt::volume_snapshots(), target_.name.ns,
                         {.label_selector = "snapshot.kubevirt.io/source-vm-name=" + target_.vm, .field_selector = {}, .optional = true});
  }
}

Result<void> SnapshotWatch::reach(Milestone milestone, const base::Deadline& deadline, const std::stop_token& stop) {
  while (true) {
    const Result<kube::Change> change = follower_.next(deadline, stop);
    if (!change.ok()) return explain(change.error());
    const Result<Verdict> verdict = take(*change, milestone);
    if (!verdict.ok()) return verdict.error();
    if (*verdict == Verdict::waiting) continue;
    settle(milestone, deadline, stop);
    return {};
  }
}

Result<SnapshotWatch::Verdict> SnapshotWatch::take(const kube::Change& change, Milestone milestone) {
  if (change.type == kube::Change::Type::gap) {
    tell(Event::Kind::watch_gap);
    return Verdict::waiting;
  }
  if (change.source == snapshot_source_) return take_snapshot_change(change, milestone);
  if (change.type == kube::Change::Type::lost) {
    const bool is_content = change.source == content_source_;
    volumes_lost_ = volumes_lost_ || !is_content;
    const std::string kind = is_content ? "VirtualMachineSnapshotContents" : "VolumeSnapshots";
    const std::string why = change.error ? change.error->message() : "unknown";
    unreadable_.push_back(kind + " may not be read: " + why);
    observer_.on({Event::Kind::unreadable, target_.name.ns, target_.vm, kind, {}, why, clock_.wall_now()});
    return Verdict::waiting;
  }
  if (change.type == kube::Change::Type::synced) return Verdict::waiting;
  if (change.source == content_source_ && change.type == kube::Change::Type::present) take_content(change.object);
  if (change.source == volume_source_) take_volume_snapshot(change);
  if (seen_) tell_changes();
  return Verdict::waiting;
}

Result<SnapshotWatch::Verdict> SnapshotWatch::take_snapshot_change(const kube::Change& change, Milestone milestone) {
  if (change.type == kube::Change::Type::synced) {
    if (seen_) return Verdict::waiting;
    if (milestone == Milestone::deleted) return Verdict::reached;
    return Error(ErrorCode::not_found, what() + (target_.uid.empty() ? " not found" : " was deleted by someone else"));
  }
  const bool same = target_.uid.empty() || uid_of(change.object) == target_.uid;
  if (change.type == kube::Change::Type::gone) {
    if (!same) return Verdict::waiting;
    observer_.on({Event::Kind::gone, target_.name.ns, target_.vm, what(), {}, {}, clock_.wall_now()});
    if (milestone == Milestone::deleted) return Verdict::reached;
    return Error(ErrorCode::not_found, what() + " was deleted by someone else while it was waited for");
  }
  if (!same) {
    if (milestone == Milestone::deleted) return Verdict::reached;
    return Error(ErrorCode::not_found, what() + " was deleted by someone else and another made under its name (UID " +
                                           uid_of(change.object) + ", ours was " + target_.uid + ")");
  }
  Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(change.object);
  if (!snapshot.ok()) return snapshot.error();
  seen_ = true;
  parts_.snapshot = std::move(*snapshot);
  target_.uid = parts_.snapshot.uid;
  if (target_.vm.empty()) target_.vm = parts_.snapshot.source_name;
  follow_parts();
  if (!parts_.snapshot.error.empty()) last_error_ = parts_.snapshot.error;
  tell_changes();
  return judge(milestone);
}

Result<SnapshotWatch::Verdict> SnapshotWatch::judge(Milestone milestone) const {
  const kubevirt::VmSnapshot& snapshot = parts_.snapshot;
  if (milestone == Milestone::deleted) return Verdict::waiting;
  if (snapshot.phase == SnapshotPhase::failed) return failure();
  if (snapshot.deleting) return Error(ErrorCode::not_found, what() + " is being deleted by someone else while it is waited for");
  if (snapshot.phase != SnapshotPhase::succeeded) return Verdict::waiting;
  if (milestone == Milestone::ready && !snapshot.ready_to_use) return Verdict::waiting;
  return Verdict::reached;
}

void SnapshotWatch::take_content(const json::Value& object) {
  Result<kubevirt::VmSnapshotContent> content = kubevirt::decode_vm_snapshot_content(object);
  if (!content.ok()) {
    tell(Event::Kind::warning, content.error().message());
    return;
  }
  parts_.content = std::move(*content);
  if (!parts_.content->error.empty()) last_error_ = parts_.content->error;
}

void SnapshotWatch::take_volume_snapshot(const kube::Change& change) {
  if (!name_of(change.object).starts_with(kubevirt::volume_snapshot_prefix(target_.uid))) return;
  std::vector<kubevirt::VolumeSnapshot>& list = parts_.volume_snapshots;
  std::erase_if(list, [&](const kubevirt::VolumeSnapshot& known) { return known.name == name_of(change.object); });
  if (change.type != kube::Change::Type::present) return;
  Result<kubevirt::VolumeSnapshot> snapshot = kubevirt::decode_volume_snapshot(change.object);
  if (snapshot.ok()) {
    list.push_back(std::move(*snapshot));
  } else {
    tell(Event::Kind::warning, snapshot.error().message());
  }
}

void SnapshotWatch::tell(Event::Kind kind, std::string text, std::string disk) {
  observer_.on({kind, target_.name.ns, target_.vm, target_.name.name, std::move(disk), std::move(text), clock_.wall_now()});
}

// Compares what is known now with what the observer was told, and tells the difference once.
void SnapshotWatch::tell_changes() {
  SnapshotItem now = assemble(parts_);
  if (now.phase != told_.phase && !now.phase.empty()) tell(Event::Kind::phase, now.phase);
  if (now.obstacle != told_.obstacle && !now.obstacle.empty() && parts_.snapshot.phase != SnapshotPhase::failed) {
    tell(Event::Kind::waiting, now.obstacle);
  }
  for (const std::string& word : now.indications) {
    const bool known = std::find(told_.indications.begin(), told_.indications.end(), word) != told_.indications.end();
    if (!known) tell(Event::Kind::indication, word);
  }
  for (const DiskReport& disk : now.disks) {
    const DiskReport* known = find_disk(told_, disk.name);
    if (!disk.volume_snapshot.empty()) tell_disk(disk, known != nullptr ? *known : DiskReport{});
  }
  if (now.ready_to_use && !told_.ready_to_use) tell(Event::Kind::ready);
  told_ = std::move(now);
}

void SnapshotWatch::tell_disk(const DiskReport& disk, const DiskReport& before) {
  const auto first = [&](Event::Kind kind) { return told_disks_.emplace(kind, disk.name).second; };
  if (first(Event::Kind::disk_begun)) tell(Event::Kind::disk_begun, disk.volume_snapshot, disk.name);
  if (!disk.error.empty() && disk.error != before.error) tell(Event::Kind::disk_error, disk.error, disk.name);
  if (disk.cut_time && first(Event::Kind::cut)) {
    observer_.on({Event::Kind::cut, target_.name.ns, target_.vm, target_.name.name, disk.name, {}, *disk.cut_time});
  }
  if (disk.ready.value_or(false) && first(Event::Kind::disk_ready)) tell(Event::Kind::disk_ready, {}, disk.name);
}

// Every VolumeSnapshot that the content names was seen, or none may be.
bool SnapshotWatch::volumes_seen() const {
  const std::vector<DiskReport> disks = assemble(parts_).disks;
  const auto named = std::count_if(disks.begin(), disks.end(), [](const DiskReport& disk) { return !disk.volume_snapshot.empty(); });
  return volumes_lost_ || parts_.volume_snapshots.size() >= static_cast<std::size_t>(named);
}

// The snapshot's word may reach us before those of its parts, which come by watches of their own.
void SnapshotWatch::settle(Milestone milestone, const base::Deadline& deadline, const std::stop_token& stop) {
  if (milestone == Milestone::deleted || !seen_) return;
  const base::Deadline until = base::Deadline::after(clock_, k_settle).sooner(deadline);
  const auto settled = [&] {
    const bool content_known = parts_.content.has_value() || !unreadable_.empty();
    return content_known && volumes_seen() && unfinished_disks(parts_, milestone == Milestone::ready).empty();
  };
  while (!settled()) {
    const Result<kube::Change> change = follower_.next(until, stop);
    if (!change.ok()) return;
    // Whatever comes now only refines the report: the milestone was reached.
    if (!take(*change, milestone).ok()) return;
  }
}

Error SnapshotWatch::failure() const {
  std::string cause = last_error_;
  const std::string obstacle = parts_.snapshot.obstacle();
  if (cause.empty()) return Error(ErrorCode::internal, what() + " failed: " + (obstacle.empty() ? "no reason given" : obstacle));
  return Error(ErrorCode::internal, what() + " failed: " + (obstacle.empty() ? "" : obstacle + "; ") + "last error: " + cause);
}

// Puts into words what was waited for when the wait ended without an end.
Error SnapshotWatch::explain(const Error& error) const {
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
