// Following VirtualMachineSnapshots, one or a thousand, with their contents and VolumeSnapshots, until each has come to an end.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "backup/early_news.hpp"
#include "backup/snapshot_state.hpp"
#include "kube/client.hpp"
#include "kube/wait.hpp"

namespace vmbackup::backup {

// What a watch looks at. One list and one watch per kind serve all its targets.
struct WatchScope {
  std::string api_version;  // of snapshot.kubevirt.io
  // Only one target will be added: it and its parts are followed by name, which costs the same in a namespace of thousands.
  bool one = false;
  // Otherwise whole collections are followed. "" = of all namespaces; a kind that may not be read cluster-wide is followed in each
  // namespace of a target, by a list and a watch of its own.
  std::string ns;
  std::string label_selector;  // of the snapshots; their parts carry no labels of ours
  // Nothing that KubeVirt goes on trying ends a wait.
  bool wait_on_error = false;
};

// How the wait for one target ended, or how far it has come.
struct SnapshotEnd {
  // The first two only for a target that was added with `steps`. taken: KubeVirt calls it Succeeded, all cuts are made; told at once.
  // settled: its parts say so too; `parts` is a copy. Not told where that is the end as well.
  enum class Step { taken, settled, ended };
  int target = 0;
  Step step = Step::ended;
  // Empty for the milestone, or why it never will be reached: the errors of SnapshotState, timeout, cancelled, or what the client said.
  base::Result<void> reached;
  std::optional<SnapshotParts> parts;   // what was read; empty when the snapshot was never seen
  std::vector<std::string> unreadable;  // what may not be read and so is missing in `parts`, one sentence each
  // It was given up, with `internal`, for what stands in its way is known not to go away (hindrance.hpp): KubeVirt goes on with it.
  bool stuck = false;
  // It may not be followed any more: KubeVirt goes on with it.
  bool lost = false;
};

//   SnapshotWatch watch(client, clock, observer, {.api_version = version, .ns = "prod"}, Milestone::ready);
//   for (...) watch.add({.name = {"prod", name}, .uid = uid, .vm = vm, .planned = disks});
//   while (watch.waiting() > 0) { SnapshotEnd end = watch.next(deadline, stop); ... }
//
// Each change is told once to the observer, by target. One thread, also for add(). All references must outlive it.
class SnapshotWatch {
 public:
  SnapshotWatch(kube::Client& client, base::Clock& clock, Observer& observer, WatchScope scope, Milestone milestone);
  ~SnapshotWatch();
  SnapshotWatch(const SnapshotWatch&) = delete;
  SnapshotWatch& operator=(const SnapshotWatch&) = delete;

  // It is about to be created: what is told of it before add() is kept, so that it need not be read again. Sends nothing.
  void expect(const kube::Name& name);
  // Sends nothing. Returns the number of the target. May be called between two calls of next(), for a snapshot made meanwhile (with its
  // UID) or one that was there before: what was told of it already is read again. No name twice.
  int add(SnapshotTarget target, bool steps = false);
  // Targets whose end next() has not returned.
  std::size_t waiting() const { return targets_.size() + ended_.size(); }
  // Blocks until one more target has come to an end, and forgets it. When the deadline passes or `stop` is requested, that is the end of
  // each that is left, one per call. waiting() must not be 0.
  SnapshotEnd next(const base::Deadline& deadline, const std::stop_token& stop);
  // The same, but nothing ends by `until` or `stop`: then, and after wake(), there is no value. May be called with no target.
  std::optional<SnapshotEnd> step(const base::Deadline& until, const std::stop_token& stop);
  // Ends one target, or all that are left, with the error in its own words.
  void give_up(int target, const base::Error& error);
  void give_up(const base::Error& error);
  // From any thread.
  void wake() { follower_.wake(); }

 private:
  enum class Kind { snapshots, contents, volume_snapshots };
  struct Source {
    Kind kind;
    std::string ns;
    bool synced = false;
  };
  struct Target {
    SnapshotState state;
    bool early = false;                      // added before the first list
    bool steps = false;                      // tell of `taken` and `settled`
    std::optional<base::TimePoint> taken;    // when that was told
    bool settled = false;                    // was told
    std::optional<base::TimePoint> reached;  // then only the parts are waited for, not for long
    base::TimePoint looked{};                // when it was last read anew for what stands in its way
  };
  using Targets = std::map<int, Target>;

  void open(Kind kind, const std::string& ns, const SnapshotTarget* only = nullptr);
  bool is_open(Kind kind, const std::string& ns) const;
  int source_of(Kind kind, const std::string& ns) const;
  void open_parts_by_name(const SnapshotTarget& target);
  void open_parts(const std::string& ns);
  const std::string* lost(Kind kind, const std::string& ns) const;
  void take(const kube::Change& change);
  void take_snapshot(Source& source, const kube::Change& change);
  void take_part(Source& source, const kube::Change& change);
  void take_synced(Source& source);
  void take_lost(int number, const base::Error& error);
  void take_verdict(int number, const base::Result<SnapshotState::Verdict>& verdict);
  Targets::iterator owner_of(const Source& source, const json::Value& object);
  bool parts_told(const SnapshotTarget& target) const;
  bool lacks_parts(const SnapshotTarget& target, const EarlyNews::News& news) const;
  void take_news(int number, const EarlyNews::News& news);
  std::vector<int> covered_by(const Source& source) const;
  void tell_steps(int number);
  void tell_settled(int number);
  std::optional<SnapshotEnd> take_ended();
  void read_late(const base::Deadline& deadline, const std::stop_token& stop);
  void read_parts(int number, const kube::Call& call, const std::stop_token& stop);
  std::optional<base::TimePoint> end_settled();
  void end(int number, base::Result<void> reached, bool stuck = false);
  void note_hindrance(int number);
  std::optional<base::TimePoint> look_at_hindered(const base::Deadline& until, const std::stop_token& stop);
  void look_again(int number, const kube::Call& call, const std::stop_token& stop);
  bool is_certain(const SnapshotState& state, Hindrance& hindrance, const kube::Call& call, const std::stop_token& stop);

  kube::Client& client_;
  base::Clock& clock_;
  Observer& observer_;
  WatchScope scope_;
  Milestone milestone_;
  kube::Follower follower_;
  EarlyNews early_;
  std::map<int, Source> sources_;                             // by the follower's number
  std::set<Kind> narrowed_;                                   // not to be read in all namespaces at once
  std::map<std::pair<Kind, std::string>, std::string> lost_;  // parts that may not be read in a namespace, and why
  Targets targets_;
  std::map<kube::Name, int> by_name_;
  std::map<std::string, int> by_uid_;
  std::optional<base::TimePoint> late_due_;  // when reading by name is tried again
  std::deque<int> late_;                     // to be read by name, for the watch has told of them already, or may never
  std::deque<int> settling_;                 // milestone reached, in that order
  std::map<int, base::TimePoint> hindered_;  // when those will have waited long enough in whose way the same thing still stands
  base::TimePoint next_look_{};              // at one of these
  std::deque<int> taken_;                    // told as taken, and not yet as settled, in that order
  base::TimePoint listing_{};                // when a list of parts last made progress
  std::deque<SnapshotEnd> ended_;
  std::optional<base::Error> trouble_;  // why the last step() ended without a value; none: it was woken
  bool begun_ = false;
  int last_target_ = 0;
};

}  // namespace vmbackup::backup
