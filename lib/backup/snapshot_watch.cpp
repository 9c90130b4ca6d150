#include "backup/snapshot_watch.hpp"

#include <algorithm>
#include <utility>

#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// How long the cut times and readiness of single disks may lag behind the snapshot's own word before the report goes without them.
constexpr base::Duration k_settle = std::chrono::seconds(2);

// A content holds its whole VM: pages of 500 would be most of the memory of a long wait.
constexpr int k_page = 50;

// Of a read by name, and until it is tried again.
constexpr base::Duration k_read_limit = std::chrono::seconds(5);
constexpr base::Duration k_read_again = std::chrono::seconds(1);

// Until what stands in the way, but ended nothing, is looked at again: at least, for it is done ever more rarely.
constexpr base::Duration k_look_again = std::chrono::seconds(10);
// Between two looks, whichever they are at: of a thousand that stand still for one reason, the others are heard meanwhile.
constexpr base::Duration k_look_pace = std::chrono::milliseconds(500);

const std::string& meta(const json::Value& object, std::string_view key) { return object.path({"metadata", key}).as_string(); }

}  // namespace

SnapshotWatch::SnapshotWatch(kube::Client& client, base::Clock& clock, Observer& observer, WatchScope scope, Milestone milestone)
    : client_(client), clock_(clock), observer_(observer), scope_(std::move(scope)), milestone_(milestone), follower_(client, clock) {}

SnapshotWatch::~SnapshotWatch() = default;

// ---- targets ----

// What was told already is not told again. Followed from here on, it is in the watch and not perhaps in the list.
void SnapshotWatch::expect(const kube::Name& name) {
  if (scope_.one) return;
  if (!is_open(Kind::snapshots, name.ns)) open(Kind::snapshots, narrowed_.count(Kind::snapshots) > 0 ? name.ns : scope_.ns);
  if (!follower_.knows(source_of(Kind::snapshots, name.ns), name)) early_.expect(name);
}

int SnapshotWatch::add(SnapshotTarget target, bool steps) {
  const int number = ++last_target_;
  const kube::Name name = target.name;
  const bool uid_known = !target.uid.empty();
  by_name_[name] = number;
  if (uid_known) by_uid_[target.uid] = number;
  const auto [at, added] = targets_.try_emplace(
      number, Target{{observer_, clock_, std::move(target), scope_.api_version, milestone_}, !begun_, steps, {}, false, {}, {}});
  SnapshotState& state = at->second.state;
  if (!is_open(Kind::snapshots, name.ns)) {
    open(Kind::snapshots, narrowed_.count(Kind::snapshots) > 0 ? name.ns : scope_.ns, &state.target());
  }
  if (scope_.one) {
    if (uid_known) open_parts_by_name(state.target());
    return number;
  }
  const int source = source_of(Kind::snapshots, name.ns);
  if (sources_.at(source).synced) open_parts(name.ns);
  if (const std::string* why = lost(Kind::contents, name.ns)) state.lose_contents(*why);
  if (const std::string* why = lost(Kind::volume_snapshots, name.ns)) state.lose_volume_snapshots(*why);
  if (const std::optional<EarlyNews::News> news = early_.release(name)) {
    if (lacks_parts(state.target(), *news)) late_.push_back(number);
    take_news(number, *news);
    return number;
  }
  // One that is made later comes by the watch.
  const bool told = follower_.knows(source, name) || parts_told(state.target());
  if (told || (sources_.at(source).synced && !uid_known)) late_.push_back(number);
  return number;
}

// The watches are not in step: that of the parts may have told of them before the target was added, and that of the snapshot not yet.
bool SnapshotWatch::parts_told(const SnapshotTarget& target) const {
  if (target.uid.empty()) return false;
  const std::string& ns = target.name.ns;
  return follower_.knows(source_of(Kind::contents, ns), {ns, kubevirt::content_name_of(target.uid)}) ||
         !follower_.known(source_of(Kind::volume_snapshots, ns), ns, kubevirt::volume_snapshot_prefix(target.uid)).empty();
}

// The same for one that was expected: what came before the snapshot itself was not kept.
bool SnapshotWatch::lacks_parts(const SnapshotTarget& target, const EarlyNews::News& news) const {
  const std::string& ns = target.name.ns;
  if (!news.content && follower_.knows(source_of(Kind::contents, ns), {ns, kubevirt::content_name_of(target.uid)})) return true;
  return follower_.known(source_of(Kind::volume_snapshots, ns), ns, kubevirt::volume_snapshot_prefix(target.uid)).size() >
         news.volume_snapshots.size();
}

// As if it were told now.
void SnapshotWatch::take_news(int number, const EarlyNews::News& news) {
  SnapshotState& state = targets_.at(number).state;
  if (news.content) state.take_content(*news.content);
  for (const auto& [name, object] : news.volume_snapshots) state.take_volume_snapshot(object, true);
  const bool gone = !news.gone.empty() && news.gone == state.target().uid;
  if (!news.snapshot && !gone) return;
  const Result<SnapshotState::Verdict> verdict = news.snapshot ? state.take_snapshot(*news.snapshot) : state.take_absent();
  if (state.seen()) by_uid_[state.target().uid] = number;
  take_verdict(number, verdict);
}

void SnapshotWatch::end(int number, Result<void> reached, bool stuck) {
  const auto at = targets_.find(number);
  if (at == targets_.end()) return;
  SnapshotState& state = at->second.state;
  if (!scope_.one) {
    const SnapshotTarget& target = state.target();
    const std::string why = reached.ok() ? std::string() : reached.error().message();
    observer_.on({Event::Kind::ended, target.name.ns, target.vm, target.name.name, {}, why, clock_.wall_now()});
  }
  by_name_.erase(state.target().name);
  by_uid_.erase(state.target().uid);
  ended_.push_back({number, SnapshotEnd::Step::ended, std::move(reached), state.take_parts(), state.unreadable(), stuck});
  targets_.erase(at);
  hindered_.erase(number);
}

// ---- what is followed ----

int SnapshotWatch::source_of(Kind kind, const std::string& ns) const {
  for (const auto& [number, source] : sources_) {
    if (source.kind == kind && (source.ns.empty() || source.ns == ns)) return number;
  }
  return 0;
}

bool SnapshotWatch::is_open(Kind kind, const std::string& ns) const { return source_of(kind, ns) != 0; }

// `only`: the target that the scope is limited to, where it is.
void SnapshotWatch::open(Kind kind, const std::string& ns, const SnapshotTarget* only) {
  const bool one = scope_.one && only != nullptr;
  kube::Follower::Options options{.label_selector = {}, .field_selector = {}, .optional = true};
  if (!scope_.one) options.page_size = k_page;
  kube::Resource resource = kubevirt::volume_snapshots();
  if (kind == Kind::snapshots) {
    resource = kubevirt::vm_snapshots(scope_.api_version);
    options.label_selector = scope_.label_selector;
    if (one) options.field_selector = "metadata.name=" + only->name.name;
  } else if (kind == Kind::contents) {
    resource = kubevirt::vm_snapshot_contents(scope_.api_version);
    if (one) options.field_selector = "metadata.name=" + kubevirt::content_name_of(only->uid);
  } else if (one) {
    options.label_selector = "snapshot.kubevirt.io/source-vm-name=" + only->vm;
  }
  const std::string& where = one ? only->name.ns : ns;
  sources_[follower_.follow(resource, where, options)] = {kind, where, false};
  if (kind != Kind::snapshots) listing_ = clock_.now();
}

// The objects below a snapshot carry its UID in their names, and its VM in a label. [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go]
void SnapshotWatch::open_parts_by_name(const SnapshotTarget& target) {
  const std::string& ns = target.name.ns;
  const auto wanted = [&](Kind kind) { return !is_open(kind, ns) && lost(kind, ns) == nullptr; };
  if (wanted(Kind::contents) && !target.uid.empty()) open(Kind::contents, ns, &target);
  if (wanted(Kind::volume_snapshots) && !target.vm.empty()) open(Kind::volume_snapshots, ns, &target);
}

// Where the snapshots are followed; or, for a kind that may not be read everywhere, in the namespace `ns` of a target.
void SnapshotWatch::open_parts(const std::string& ns) {
  const int snapshots = source_of(Kind::snapshots, ns);
  if (snapshots == 0) return;
  for (const Kind kind : {Kind::contents, Kind::volume_snapshots}) {
    if (is_open(kind, ns) || lost(kind, ns) != nullptr) continue;
    open(kind, narrowed_.count(kind) > 0 ? ns : sources_.at(snapshots).ns);
  }
}

// Why the kind may not be read in the namespace; nullptr where it may, as far as is known.
const std::string* SnapshotWatch::lost(Kind kind, const std::string& ns) const {
  for (const std::string& where : {ns, std::string()}) {
    const auto found = lost_.find({kind, where});
    if (found != lost_.end()) return &found->second;
  }
  return nullptr;
}

std::vector<int> SnapshotWatch::covered_by(const Source& source) const {
  std::vector<int> numbers;
  for (const auto& [number, target] : targets_) {
    if (source.ns.empty() || target.state.target().name.ns == source.ns) numbers.push_back(number);
  }
  return numbers;
}

// ---- changes ----

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
  const std::string& ns = meta(object, "namespace");
  const std::string& name = meta(object, "name");
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
    for (const int each : covered) end(each, targets_.at(each).state.explain(error));
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

// ---- reading by name ----

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

// ---- the end ----

// Ends those that have waited long enough for their parts. Returns when the next one will have.
std::optional<base::TimePoint> SnapshotWatch::end_settled() {
  std::optional<base::TimePoint> first;
  while (!taken_.empty()) {
    const auto at = targets_.find(taken_.front());
    if (at != targets_.end() && !at->second.settled) {
      const base::TimePoint due = std::max(*at->second.taken, listing_) + k_settle;
      if (clock_.now() < due) {
        first = due;
        break;
      }
      tell_settled(at->first);
    }
    taken_.pop_front();
  }
  while (!settling_.empty()) {
    const auto at = targets_.find(settling_.front());
    if (at != targets_.end()) {
      // While a list of parts is being read, the parts are on their way.
      const base::TimePoint due = std::max(*at->second.reached, listing_) + k_settle;
      if (clock_.now() < due) return first ? std::min(*first, due) : due;
      end(at->first, {});
    }
    settling_.pop_front();
  }
  return first;
}

std::optional<SnapshotEnd> SnapshotWatch::take_ended() {
  if (ended_.empty()) return std::nullopt;
  SnapshotEnd end = std::move(ended_.front());
  ended_.pop_front();
  return end;
}

std::optional<SnapshotEnd> SnapshotWatch::step(const base::Deadline& until, const std::stop_token& stop) {
  begun_ = true;
  trouble_.reset();
  for (;;) {
    if (ended_.empty() && (!late_due_ || clock_.now() >= *late_due_)) read_late(until, stop);
    const std::optional<base::TimePoint> due = end_settled();
    const std::optional<base::TimePoint> hindered = ended_.empty() ? look_at_hindered(until, stop) : std::nullopt;
    if (std::optional<SnapshotEnd> end = take_ended()) return end;
    base::Deadline next = due ? base::Deadline::at(*due).sooner(until) : until;
    if (late_due_) next = next.sooner(base::Deadline::at(*late_due_));
    if (hindered) next = next.sooner(base::Deadline::at(*hindered));
    const Result<kube::Change> change = follower_.next(next, stop);
    if (change.ok() && change->type == kube::Change::Type::woken) return std::nullopt;
    if (change.ok()) {
      take(*change);
    } else if (change.error().code() != ErrorCode::timeout || until.passed(clock_)) {
      trouble_ = change.error();
      return std::nullopt;
    }
  }
}

void SnapshotWatch::give_up(int number, const Error& error) {
  const auto at = targets_.find(number);
  if (at == targets_.end()) return;
  end(number, at->second.reached ? Result<void>() : Result<void>(at->second.state.explain(error)));
}

void SnapshotWatch::give_up(const Error& error) {
  while (!targets_.empty()) give_up(targets_.begin()->first, error);
}

SnapshotEnd SnapshotWatch::next(const base::Deadline& deadline, const std::stop_token& stop) {
  for (;;) {
    if (std::optional<SnapshotEnd> end = step(deadline, stop)) return *std::move(end);
    if (trouble_) give_up(*trouble_);
  }
}

}  // namespace vmbackup::backup
