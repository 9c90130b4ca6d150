#include "kube/wait.hpp"

#include <algorithm>
#include <utility>

#include "kube/object_meta.hpp"
#include "kube/status_error.hpp"

namespace vmbackup::kube {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Duration k_first_pause = std::chrono::milliseconds(250);
constexpr base::Duration k_longest_pause = std::chrono::seconds(15);
// So many changes are not held while more are asked for.
constexpr std::size_t k_plenty = 50;
// A watch that ends sooner, and has told nothing, is not begun again at once.
constexpr base::Duration k_short_watch = std::chrono::seconds(1);
// A server that was asked for bookmarks sends one a minute, on a timer that ticks every second or so, whether or not anything happens.
// After two that did not come the connection is dead, though TCP may not know: a proxy or a balancer keeps its half alive.
// [kubernetes 1.34, apiserver/pkg/storage/cacher: defaultBookmarkFrequency, nextBookmarkTime]
constexpr base::Duration k_longest_silence = std::chrono::seconds(150);
// The source of the event by which wake() wakes.
constexpr int k_nobody = -1;

bool heals(const Error& error) {
  switch (error.code()) {
    case ErrorCode::unauthenticated:
    case ErrorCode::forbidden:
    case ErrorCode::not_found:
    case ErrorCode::invalid:
    case ErrorCode::usage:
      return false;
    default:
      return true;
  }
}

json::Value identity_object(const Name& name, const std::string& uid) {
  return json::Value::object({{"metadata", json::Value::object({{"namespace", name.ns}, {"name", name.name}, {"uid", uid}})}});
}

}  // namespace

struct Follower::Source {
  enum class Step { list, watch, watching, lost };

  int number = 0;
  Resource resource;
  std::string ns;
  Options options;

  Step step = Step::list;
  base::TimePoint due;  // of `list` and `watch`
  base::Backoff backoff{k_first_pause, k_longest_pause};
  std::optional<Error> trouble;  // why it is being tried again

  bool synced = false;
  bool gap = false;  // the next list follows an Expired
  std::string resource_version;
  struct Identity {
    std::string uid;
    std::string version;
  };
  std::map<Name, Identity> known;

  // A list that is being read.
  std::string next_page;             // "": the first
  bool all_at_once = false;          // the server forgot this list between two pages
  std::map<Name, Identity> missing;  // known, and not in the pages so far

  base::TimePoint watch_begun;
  base::TimePoint heard;  // when the watch last told something, or was begun
  bool watch_told = false;
  WatchHandle handle;

  // Each of these adds to `changes` what it finds.
  // True once the last page was taken.
  bool take_page(ListPage page, std::deque<Change>& changes);
  void take_event(WatchEvent event, std::deque<Change>& changes);
  // The error to give to the caller, for a required source that will not heal.
  std::optional<Error> take_error(const Error& error, Step retry, base::TimePoint now, std::deque<Change>& changes);
  // A list or a watch is to be begun when it is due.
  bool waits() const { return step == Step::list || step == Step::watch; }
  // When a running watch has been silent for too long.
  base::TimePoint too_silent() const { return step == Step::watching ? heard + k_longest_silence : base::TimePoint::max(); }
  // Ends it then; it is begun again where it stopped.
  void end_if_silent(base::TimePoint now);

 private:
  void found(json::Value object, bool only_if_changed, std::deque<Change>& changes);
  void lost(const Name& name, const std::string& uid, std::deque<Change>& changes);
  void tell(Change::Type type, json::Value object, std::deque<Change>& changes) {
    changes.push_back({type, number, std::move(object), std::nullopt});
  }
};

void Follower::Source::found(json::Value object, bool only_if_changed, std::deque<Change>& changes) {
  const Name name = name_of(object);
  const std::string& uid = meta(object, "uid");
  const std::string& version = meta(object, "resourceVersion");
  const auto [at, added] = known.try_emplace(name);
  Identity& before = at->second;
  if (!added && before.uid == uid) {
    if (only_if_changed && before.version == version) return;
  } else if (!added) {
    tell(Change::Type::gone, identity_object(name, before.uid), changes);
  }
  before = {uid, version};
  tell(Change::Type::present, std::move(object), changes);
}

void Follower::Source::lost(const Name& name, const std::string& uid, std::deque<Change>& changes) {
  const auto before = known.find(name);
  // Not told of, so not missed; or the end of an object whose successor is known already.
  if (before == known.end() || before->second.uid != uid) return;
  known.erase(before);
  tell(Change::Type::gone, identity_object(name, uid), changes);
}

bool Follower::Source::take_page(ListPage page, std::deque<Change>& changes) {
  trouble.reset();
  if (next_page.empty()) missing = known;
  if (std::exchange(gap, false)) tell(Change::Type::gap, {}, changes);
  for (json::Value& object : page.items) {
    missing.erase(name_of(object));
    found(std::move(object), true, changes);
  }
  next_page = std::move(page.next);
  if (!next_page.empty()) return false;
  all_at_once = false;
  for (const auto& [name, last] : std::exchange(missing, {})) lost(name, last.uid, changes);
  resource_version = std::move(page.resource_version);
  tell(Change::Type::synced, {}, changes);
  return true;
}

void Follower::Source::take_event(WatchEvent event, std::deque<Change>& changes) {
  watch_told = true;
  trouble.reset();
  backoff.reset();
  const std::string& version = meta(event.object, "resourceVersion");
  if (!version.empty()) resource_version = version;
  if (event.type == WatchEvent::Type::deleted) {
    lost(name_of(event.object), meta(event.object, "uid"), changes);
  } else if (event.type != WatchEvent::Type::bookmark) {
    found(std::move(event.object), false, changes);
  }
}

std::optional<Error> Follower::Source::take_error(const Error& error, Step retry, base::TimePoint now, std::deque<Change>& changes) {
  if (!heals(error)) {
    if (!options.optional) {
      // Asked again, it tries again: who is told that it will not heal may know better.
      step = retry;
      due = now;
      return error;
    }
    step = Step::lost;
    changes.push_back({Change::Type::lost, number, {}, error});
    return std::nullopt;
  }
  trouble = error;
  step = retry;
  due = now + backoff.next();
  return std::nullopt;
}

void Follower::Source::end_if_silent(base::TimePoint now) {
  if (now < too_silent()) return;
  trouble = Error(ErrorCode::unavailable, "watch " + resource.plural + ": nothing came for " + base::format_duration(k_longest_silence));
  handle.doubt();
  step = Step::watch;
  due = now;
}

Follower::Follower(Client& client, base::Clock& clock) : client_(client), clock_(clock), queue_(std::make_shared<WatchQueue>()) {}

Follower::~Follower() = default;

int Follower::follow(const Resource& resource, const std::string& ns, const Options& options) {
  auto source = std::make_unique<Source>();
  source->number = ++last_source_;
  source->resource = resource;
  source->ns = ns;
  source->options = options;
  source->due = clock_.now();
  sources_[last_source_] = std::move(source);
  return last_source_;
}

void Follower::unfollow(int source) {
  sources_.erase(source);
  std::erase_if(pending_, [source](const Change& change) { return change.source == source; });
}

bool Follower::synced(int source) const {
  const auto found = sources_.find(source);
  return found != sources_.end() && found->second->synced;
}

bool Follower::knows(int source, const Name& name) const {
  const auto found = sources_.find(source);
  return found != sources_.end() && found->second->known.count(name) > 0;
}

std::vector<Name> Follower::known(int source, const std::string& ns, const std::string& prefix) const {
  std::vector<Name> names;
  const auto found = sources_.find(source);
  if (found == sources_.end()) return names;
  const auto& known = found->second->known;
  for (auto at = known.lower_bound({ns, prefix}); at != known.end() && at->first.ns == ns && at->first.name.starts_with(prefix); ++at) {
    names.push_back(at->first);
  }
  return names;
}

Result<Change> Follower::next(const base::Deadline& deadline, const std::stop_token& stop) {
  for (;;) {
    if (stop.stop_requested()) return Error(ErrorCode::cancelled, "interrupted while following changes");
    if (!pending_.empty()) return take_pending();
    base::TimePoint wake = deadline.when();
    for (auto& [number, source] : sources_) {
      if (source->waits() && source->due <= clock_.now()) {
        if (auto error = advance(*source, deadline, stop)) return *std::move(error);
      }
      wake = std::min(wake, source->waits() ? source->due : source->too_silent());
      // What was read of a long list is given away before more is read.
      if (pending_.size() > k_plenty) break;
    }
    if (!pending_.empty()) continue;
    if (deadline.passed(clock_)) return overdue();
    std::optional<WatchEvent> event = queue_->pop(clock_, base::Deadline::at(wake), stop);
    if (!event) {
      // Only now: nothing is left that came while the caller was busy elsewhere.
      for (auto& [number, source] : sources_) source->end_if_silent(clock_.now());
      continue;
    }
    if (auto error = take(*std::move(event))) return *std::move(error);
  }
}

Change Follower::take_pending() {
  Change change = std::move(pending_.front());
  pending_.pop_front();
  if (change.type == Change::Type::synced) sources_.at(change.source)->synced = true;
  return change;
}

// Begins the list or the watch that is due.
std::optional<Error> Follower::advance(Source& source, const base::Deadline& deadline, const std::stop_token& stop) {
  if (source.step == Source::Step::list) {
    ListOptions options{.label_selector = source.options.label_selector,
                        .field_selector = source.options.field_selector,
                        .page_size = source.options.page_size};
    if (source.all_at_once) options.page_size = 0;
    // One try: the pauses are made here, so that the other sources are heard meanwhile.
    const Call call{.deadline = deadline, .repeat = false};
    Result<ListPage> page = client_.list_page(source.resource, source.ns, options, source.next_page, call, stop);
    if (!page) {
      const Error& error = page.error();
      if (error.code() == ErrorCode::cancelled) return error;
      if (error.reason() == k_expired && !source.next_page.empty()) {
        source.next_page.clear();
        source.all_at_once = true;
        return std::nullopt;
      }
      return source.take_error(error, Source::Step::list, clock_.now(), pending_);
    }
    if (!source.take_page(std::move(page).value(), pending_)) return std::nullopt;
  }
  source.step = Source::Step::watching;
  source.watch_begun = source.heard = clock_.now();
  source.watch_told = false;
  // The old one first: from here on, nothing of it may come.
  source.handle = WatchHandle();
  source.handle =
      client_.watch(source.resource, source.ns, {source.options.label_selector, source.options.field_selector, source.resource_version},
                    queue_, source.number);
  return std::nullopt;
}

void Follower::wake() {
  WatchEvent event;
  event.source = k_nobody;
  queue_->push(std::move(event));
}

std::optional<Error> Follower::take(WatchEvent event) {
  if (event.source == k_nobody) pending_.push_back({Change::Type::woken, 0, {}, std::nullopt});
  const auto found = sources_.find(event.source);
  if (found == sources_.end()) return std::nullopt;  // unfollowed meanwhile
  Source& source = *found->second;
  if (event.type != WatchEvent::Type::ended) {
    source.heard = clock_.now();
    source.take_event(std::move(event), pending_);
    return std::nullopt;
  }
  source.handle = WatchHandle();
  const base::TimePoint now = clock_.now();
  const bool worked = source.watch_told || now - source.watch_begun >= k_short_watch;
  if (worked) source.backoff.reset();
  const bool expired = event.error && event.error->reason() == k_expired;
  if (expired) source.gap = true;
  if (expired || !event.error) {
    source.step = expired ? Source::Step::list : Source::Step::watch;
    source.due = worked ? now : now + source.backoff.next();
    return std::nullopt;
  }
  return source.take_error(*event.error, Source::Step::watch, now, pending_);
}

Error Follower::overdue() const {
  Error error(ErrorCode::timeout, "the deadline passed");
  std::vector<std::string> causes;
  for (const auto& [number, source] : sources_) {
    if (source->trouble) causes.push_back(source->trouble->message());
  }
  return error.with_causes(std::move(causes));
}

}  // namespace vmbackup::kube
