// Following one VirtualMachineSnapshot, its content and its VolumeSnapshots, and telling what changes.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "backup/assemble.hpp"
#include "backup/events.hpp"
#include "base/clock.hpp"
#include "kube/client.hpp"
#include "kube/wait.hpp"

namespace vmbackup::backup {

enum class Milestone { cut, ready, deleted };

// One use, one thread. All references must outlive it.
class SnapshotWatch {
 public:
  struct Target {
    kube::Name name;
    std::string api_version;
    std::string uid;                  // "" = whichever is found first
    std::string vm;                   // "" = learned from the snapshot; VolumeSnapshots are followed only when it is known
    std::vector<DiskReport> planned;  // may be empty
  };
  SnapshotWatch(kube::Client& client, base::Clock& clock, Observer& observer, Target target);
  ~SnapshotWatch();

  // Blocks until the milestone is reached (empty result), or until it is clear that it never will be:
  //   internal   phase Failed; the cause as last seen
  //   not_found  deleted, being deleted, replaced under the same name, or never there
  //   timeout, cancelled, and what the client said
  base::Result<void> reach(Milestone milestone, const base::Deadline& deadline, const std::stop_token& stop);

  // What was read so far; nullptr before the snapshot was seen.
  const SnapshotParts* parts() const { return seen_ ? &parts_ : nullptr; }
  // What may not be read and so is missing in the parts, one sentence each.
  const std::vector<std::string>& unreadable() const { return unreadable_; }

 private:
  enum class Verdict { reached, waiting };
  base::Result<Verdict> take(const kube::Change& change, Milestone milestone);
  base::Result<Verdict> take_snapshot_change(const kube::Change& change, Milestone milestone);
  base::Result<Verdict> judge(Milestone milestone) const;
  void take_content(const json::Value& object);
  void take_volume_snapshot(const kube::Change& change);
  void follow_parts();
  void tell(Event::Kind kind, std::string text = {}, std::string disk = {});
  void tell_changes();
  void tell_disk(const DiskReport& disk, const DiskReport& before);
  bool volumes_seen() const;
  void settle(Milestone milestone, const base::Deadline& deadline, const std::stop_token& stop);
  base::Error explain(const base::Error& error) const;
  base::Error failure() const;
  std::string what() const;

  kube::Client& client_;
  base::Clock& clock_;
  Observer& observer_;
  Target target_;
  kube::Follower follower_;
  int snapshot_source_ = 0;
  int content_source_ = 0;
  int volume_source_ = 0;
  SnapshotParts parts_;                                       // the watches are not in step: parts may come before the snapshot itself
  bool seen_ = false;                                         // the snapshot itself was seen
  SnapshotItem told_;                                         // the state that the observer knows
  std::set<std::pair<Event::Kind, std::string>> told_disks_;  // what is told of a disk once, though its two sources differ for a moment
  std::string last_error_;                                    // the last error that the objects held; Failed itself names only the deadline
  std::vector<std::string> unreadable_;
  bool volumes_lost_ = false;  // VolumeSnapshots may not be read
};

// What to do about a wait that ended with `error`: a sentence with a command. `parts` may be nullptr.
std::string next_step(const kube::Name& name, const SnapshotParts* parts, const base::Error& error);

}  // namespace vmbackup::backup
