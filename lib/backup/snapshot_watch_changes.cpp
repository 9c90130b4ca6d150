// What the watches tell, and to which target it belongs.
#include <algorithm>
#include <utility>

#include "backup/snapshot_watch.hpp"
#include "kube/object_meta.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

}  // namespace

void SnapshotWatch::take(const kube::Change& change) {
  const auto found = sources_.find(change.source);
  if (found == sources_.end()) return;
  Source& source = found->second;
  switch (change.type) {
    case kube::Change::Type::gap:
      early_.forget();
      for (const int number : covered_by(source)) targets_.at(number).state.take_gap();
      return;
    case kube::Change::Type::lost:
      take_lost(change.source, change.error.value_or(Error(ErrorCode::internal, "unknown")));
      return;
    case kube::Change::Type::synced:
      take_synced(source);
      return;
    case kube::Change::Type::present:
    case kube::Change::Type::gone:
      if (source.kind == Kind::snapshots) return take_snapshot(source, change);
      return take_part(source, change);
    case kube::Change::Type::woken:
      return;
  }
}

void SnapshotWatch::take_snapshot(Source& source, const kube::Change& change) {
  const auto at = owner_of(source, change.object);
  if (at == targets_.end()) return early_.take_snapshot(change.object, change.type == kube::Change::Type::present);
  const int number = at->first;
  SnapshotState& state = at->second.state;
  if (change.type == kube::Change::Type::gone) return take_verdict(number, state.take_gone(change.object));
  const Result<SnapshotState::Verdict> verdict = state.take_snapshot(change.object);
  if (state.seen()) {
    by_uid_[state.target().uid] = number;
    if (scope_.one) open_parts_by_name(state.target());
  }
  take_verdict(number, verdict);
}

void SnapshotWatch::take_part(Source& source, const kube::Change& change) {
  if (!source.synced) listing_ = clock_.now();
  const auto at = owner_of(source, change.object);
  const bool present = change.type == kube::Change::Type::present;
  const bool volume = source.kind == Kind::volume_snapshots;
  if (at == targets_.end()) {
    return volume ? early_.take_volume_snapshot(change.object, present) : early_.take_content(change.object, present);
  }
  if (volume) {
    at->second.state.take_volume_snapshot(change.object, present);
  } else if (present) {
    at->second.state.take_content(change.object);
  }
  tell_steps(at->first);
  note_hindrance(at->first);
  if (at->second.reached && at->second.state.settled()) end(at->first, {});
}

// Of a target that asked for it, and does not end at the same time.
void SnapshotWatch::tell_steps(int number) {
  Target& target = targets_.at(number);
  if (!target.steps) return;
  if (!target.taken && target.state.cut()) {
    target.taken = clock_.now();
    taken_.push_back(number);
    ended_.push_back({number, SnapshotEnd::Step::taken, {}, {}, {}});
  }
  if (target.taken && target.state.settled(Milestone::cut)) tell_settled(number);
}

void SnapshotWatch::tell_settled(int number) {
  Target& target = targets_.at(number);
  if (std::exchange(target.settled, true) || milestone_ == Milestone::cut) return;
  ended_.push_back({number, SnapshotEnd::Step::settled, {}, target.state.parts(), target.state.unreadable()});
}

SnapshotWatch::Targets::iterator SnapshotWatch::owner_of(const Source& source, const json::Value& object) {
  const std::string& ns = kube::meta(object, "namespace");
  const std::string& name = kube::meta(object, "name");
  int number = 0;
  if (source.kind == Kind::snapshots) {
    const auto found = by_name_.find({ns, name});
    if (found != by_name_.end()) number = found->second;
  } else {
    const auto found = by_uid_.find(source.kind == Kind::contents ? kubevirt::snapshot_uid_of_content(name)
                                                                  : kubevirt::snapshot_uid_of_volume_snapshot(name));
    if (found != by_uid_.end()) number = found->second;
  }
  const auto at = targets_.find(number);
  return at != targets_.end() && at->second.state.target().name.ns == ns ? at : targets_.end();
}

void SnapshotWatch::take_synced(Source& source) {
  source.synced = true;
  if (source.kind != Kind::snapshots) {
    listing_ = clock_.now();
    return;
  }
  for (const int number : covered_by(source)) {
    Target& target = targets_.at(number);
    if (target.state.seen()) continue;
    if (target.early) {
      take_verdict(number, target.state.take_absent());
    } else {
      late_.push_back(number);  // the list may be older than the snapshot
    }
  }
  if (scope_.one) return;
  // Not earlier: whose parts they are is known only now.
  for (const int number : covered_by(source)) open_parts(targets_.at(number).state.target().name.ns);
}

void SnapshotWatch::take_lost(int number, const Error& error) {
  const Source source = sources_.at(number);
  sources_.erase(number);
  follower_.unfollow(number);
  early_.forget();
  const std::vector<int> covered = covered_by(source);
  if (source.ns.empty() && !scope_.one && error.code() == ErrorCode::forbidden) {
    // Who may not look everywhere may still look at each place.
    narrowed_.insert(source.kind);
    for (const int each : covered) {
      const std::string& ns = targets_.at(each).state.target().name.ns;
      if (!is_open(source.kind, ns)) open(source.kind, ns);
    }
    return;
  }
  if (source.kind == Kind::snapshots) {
    for (const int each : covered) {
      end(each, targets_.at(each).state.explain(error));
      ended_.back().lost = true;
    }
    return;
  }
  lost_[{source.kind, source.ns}] = error.message();
  const bool contents = source.kind == Kind::contents;
  for (const int each : covered) {
    Target& target = targets_.at(each);
    contents ? target.state.lose_contents(error.message()) : target.state.lose_volume_snapshots(error.message());
  }
  const std::string vm = scope_.one && !covered.empty() ? targets_.at(covered.front()).state.target().vm : std::string();
  const char* kind = contents ? "VirtualMachineSnapshotContents" : "VolumeSnapshots";
  observer_.on({Event::Kind::unreadable, source.ns, vm, kind, {}, error.message(), clock_.wall_now()});
  for (const int each : covered) {
    const Target& target = targets_.at(each);
    if (target.reached && target.state.settled()) end(each, {});
  }
}

void SnapshotWatch::take_verdict(int number, const Result<SnapshotState::Verdict>& verdict) {
  tell_steps(number);
  note_hindrance(number);
  Target& target = targets_.at(number);
  if (target.reached) {
    // Whatever comes now only refines the report: the milestone was reached.
    if (!verdict.ok() || target.state.settled()) end(number, {});
    return;
  }
  if (!verdict.ok()) return end(number, verdict.error());
  if (*verdict == SnapshotState::Verdict::waiting) return;
  if (target.state.settled()) return end(number, {});
  target.reached = clock_.now();
  settling_.push_back(number);
}

}  // namespace vmbackup::backup
