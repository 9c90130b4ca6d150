// What is read by name: where the watches may have told of it already, and where something stands in the way.
#include <algorithm>
#include <utility>

#include "backup/snapshot_watch.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// Of a read by name, and until it is tried again.
constexpr base::Duration k_read_limit = std::chrono::seconds(5);
constexpr base::Duration k_read_again = std::chrono::seconds(1);

// Until what stands in the way, but ended nothing, is looked at again: at least, for it is done ever more rarely.
constexpr base::Duration k_look_again = std::chrono::seconds(10);
// Between two looks, whichever they are at: of a thousand that stand still for one reason, the others are heard meanwhile.
constexpr base::Duration k_look_pace = std::chrono::milliseconds(500);

}  // namespace

void SnapshotWatch::read_late(const base::Deadline& deadline, const std::stop_token& stop) {
  // Asked again soon rather than waited for: whoever follows has others to look after.
  late_due_.reset();
  const kube::Call call{.deadline = base::Deadline::after(clock_, k_read_limit).sooner(deadline), .repeat = false};
  while (!late_.empty()) {
    const int number = late_.front();
    late_.pop_front();
    const auto at = targets_.find(number);
    if (at == targets_.end()) continue;
    SnapshotState& state = at->second.state;
    state.read_by_name();
    if (state.seen()) {
      read_parts(number, call, stop);
      tell_steps(number);
      if (at->second.reached && state.settled()) end(number, {});
      continue;
    }
    const Result<json::Value> object = client_.get(kubevirt::vm_snapshots(scope_.api_version), state.target().name, call, stop);
    const ErrorCode code = object.ok() ? ErrorCode::internal : object.error().code();
    if ((code == ErrorCode::unavailable || code == ErrorCode::timeout) && !deadline.passed(clock_)) {
      late_.push_back(number);
      late_due_ = clock_.now() + k_read_again;
      return;
    }
    if (!object.ok()) {
      const bool absent = object.error().code() == ErrorCode::not_found;
      const Result<SnapshotState::Verdict> verdict =
          absent ? state.take_absent() : Result<SnapshotState::Verdict>(state.explain(object.error()));
      take_verdict(number, verdict);
      continue;
    }
    const Result<SnapshotState::Verdict> verdict = state.take_snapshot(*object);
    if (state.seen()) {
      by_uid_[state.target().uid] = number;
      read_parts(number, call, stop);
    }
    take_verdict(number, verdict);
  }
}

// Those that a watch has told of while nobody asked for them. What cannot be read now comes with the next change, or lacks.
void SnapshotWatch::read_parts(int number, const kube::Call& call, const std::stop_token& stop) {
  SnapshotState& state = targets_.at(number).state;
  const std::string& ns = state.target().name.ns;
  const std::string& uid = state.target().uid;
  const kube::Name content{ns, kubevirt::content_name_of(uid)};
  if (follower_.knows(source_of(Kind::contents, ns), content)) {
    const Result<json::Value> object = client_.get(kubevirt::vm_snapshot_contents(scope_.api_version), content, call, stop);
    if (object.ok()) state.take_content(*object);
  }
  for (const kube::Name& name : follower_.known(source_of(Kind::volume_snapshots, ns), ns, kubevirt::volume_snapshot_prefix(uid))) {
    const Result<json::Value> object = client_.get(kubevirt::volume_snapshots(), name, call, stop);
    if (object.ok()) state.take_volume_snapshot(*object, true);
  }
}

// ---- what stands in the way ----

void SnapshotWatch::note_hindrance(int number) {
  const Target& target = targets_.at(number);
  const std::optional<base::Duration> patience = patience_with(target.state.hindrance().kind);
  if (!patience || target.reached || scope_.wait_on_error || milestone_ == Milestone::deleted) {
    hindered_.erase(number);
    return;
  }
  base::TimePoint due = target.state.hindered_since() + *patience;
  const base::TimePoint since = target.state.hindered_since();
  if (target.looked >= since) due = std::max(due, target.looked + std::max(k_look_again, target.looked - since));
  hindered_[number] = due;
}

// Looks at one that has waited long enough. Returns when the next one will have.
std::optional<base::TimePoint> SnapshotWatch::look_at_hindered(const base::Deadline& until, const std::stop_token& stop) {
  const auto by_time = [](const auto& left, const auto& right) { return left.second < right.second; };
  const auto first = std::min_element(hindered_.begin(), hindered_.end(), by_time);
  if (first == hindered_.end()) return std::nullopt;
  const base::TimePoint due = std::max(first->second, next_look_);
  if (clock_.now() < due) return due;
  const int number = first->first;
  next_look_ = clock_.now() + k_look_pace;
  look_again(number, {.deadline = base::Deadline::after(clock_, k_read_limit).sooner(until), .repeat = false}, stop);
  const auto next = std::min_element(hindered_.begin(), hindered_.end(), by_time);
  return next == hindered_.end() ? std::nullopt : std::optional(std::max(next->second, next_look_));
}

// What a watch told last may be old, and the error healed since: nothing ends before it was read anew.
void SnapshotWatch::look_again(int number, const kube::Call& call, const std::stop_token& stop) {
  Target& target = targets_.at(number);
  target.looked = clock_.now();
  note_hindrance(number);
  const Result<json::Value> object = client_.get(kubevirt::vm_snapshots(scope_.api_version), target.state.target().name, call, stop);
  // One that is gone is told by its watch, and who is not answered looks again.
  if (!object.ok()) return;
  target.state.read_by_name();
  const Result<SnapshotState::Verdict> verdict = target.state.take_snapshot(*object);
  read_parts(number, call, stop);
  take_verdict(number, verdict);
  if (targets_.count(number) == 0 || hindered_.count(number) == 0) return;
  Hindrance hindrance = target.state.hindrance();
  if (clock_.now() < target.state.hindered_since() + *patience_with(hindrance.kind)) return;
  if (is_certain(target.state, hindrance, call, stop)) end(number, standing_error(target.state.parts(), hindrance), true);
}

// For what the snapshot's own objects do not tell, the others are asked.
bool SnapshotWatch::is_certain(const SnapshotState& state, Hindrance& hindrance, const kube::Call& call, const std::stop_token& stop) {
  const SnapshotTarget& target = state.target();
  if (hindrance.kind == Hindrance::Kind::locked) {
    const kube::Name holder{target.name.ns, hindrance.by};
    const Result<json::Value> object = client_.get(kubevirt::vm_snapshots(scope_.api_version), holder, call, stop);
    hindrance.cause = "the VM is locked for the snapshot " + hindrance.by + ", which does not exist";
    return !object.ok() && object.error().code() == ErrorCode::not_found;
  }
  if (hindrance.kind != Hindrance::Kind::unbegun) return true;
  const Result<json::Value> object = client_.get(kubevirt::virtual_machines(), {target.name.ns, target.vm}, call, stop);
  const Result<kubevirt::VirtualMachine> vm = object.ok() ? kubevirt::decode_virtual_machine(*object) : object.error();
  if (vm.ok()) hindrance.cause = class_ambiguity(*vm);
  return vm.ok() && !hindrance.cause.empty();
}

}  // namespace vmbackup::backup
