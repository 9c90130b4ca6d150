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
