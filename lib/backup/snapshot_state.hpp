// What is known of one VirtualMachineSnapshot that is followed: fed with changes, it tells the observer what is new and says when it is
// over. Sends nothing; SnapshotWatch owns the requests.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backup/assemble.hpp"
#include "backup/events.hpp"
#include "backup/hindrance.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

enum class Milestone { cut, ready, deleted };

struct SnapshotTarget {
  kube::Name name;
  std::string uid;                  // "" = whichever is found first
  std::string vm;                   // "" = learned from the snapshot
  std::string vm_uid = {};          // likewise
  std::vector<DiskReport> planned;  // may be empty
};

// One thread. The observer and the clock must outlive it.
class SnapshotState {
 public:
  SnapshotState(Observer& observer, base::Clock& clock, SnapshotTarget target, std::string api_version, Milestone milestone);

  // After a change: whether the milestone is reached, or the error that says why it never will be.
  //   internal   phase Failed, with the cause as last seen; or the VM was replaced under its name before it was cut
  //   not_found  deleted, being deleted, replaced under the same name, or never there
  enum class Verdict { reached, waiting };
  base::Result<Verdict> take_snapshot(const json::Value& object);
  base::Result<Verdict> take_gone(const json::Value& object);
  // Everything was read, and the snapshot is not there.
  base::Result<Verdict> take_absent();

  // The parts refine the report. They may come before the snapshot itself once its UID is known, for the watches are not in step.
  void take_content(const json::Value& object);
  void take_volume_snapshot(const json::Value& object, bool present);
  // They may not be read, so they will be missing.
  void lose_contents(const std::string& why);
  void lose_volume_snapshots(const std::string& why);
  // Changes may have been missed.
  void take_gap();
  // What comes from here on may have been read by name, ahead of the watch: older states of it are passed over.
  void read_by_name() { read_by_name_ = true; }

  const SnapshotTarget& target() const { return target_; }
  bool seen() const { return seen_; }
  // KubeVirt calls it Succeeded: all its disks are cut.
  bool cut() const;
  // All parts that the snapshot's own objects name were seen, as far as they may be read, and say what `milestone` needs.
  bool settled(Milestone milestone) const;
  bool settled() const { return settled(milestone_); }
  // What stands in the way, the same since `hindered_since`.
  const Hindrance& hindrance() const { return hindrance_; }
  base::TimePoint hindered_since() const { return hindered_since_; }
  // Puts into words what was waited for when the wait ends with `error`.
  base::Error explain(const base::Error& error) const;
  const SnapshotParts& parts() const { return parts_; }
  // What was read, moved out; empty before the snapshot was seen.
  std::optional<SnapshotParts> take_parts();
  // What may not be read and so is missing in the parts, one sentence each.
  const std::vector<std::string>& unreadable() const { return unreadable_; }

 private:
  bool overtaken(const json::Value& object);
  bool is_of_other_vm();
  void look_for_hindrance(const SnapshotItem& now);
  base::Result<Verdict> judge() const;
  base::Error failure() const;
  std::string what() const;
  bool volumes_seen() const;
  void tell(Event::Kind kind, std::string text = {}, std::string disk = {});
  void tell_changes();
  void tell_disk(const DiskReport& disk);

  Observer& observer_;
  base::Clock& clock_;
  SnapshotTarget target_;
  std::string api_version_;
  Milestone milestone_;
  SnapshotParts parts_;
  bool read_by_name_ = false;
  std::map<std::string, std::string> versions_;  // by UID: the newest state that was taken
  bool seen_ = false;                            // the snapshot itself was seen
  // What the observer knows. Not a whole item: of a thousand snapshots that are followed, each would be kept twice.
  struct Told {
    std::string phase;
    std::string obstacle;
    std::vector<std::string> indications;
    std::map<std::string, std::string> disk_errors;  // by disk, of those with one
    bool ready = false;
  };
  Told told_;
  std::size_t volumes_named_ = 0;                             // disks whose VolumeSnapshot the objects name
  std::set<std::pair<Event::Kind, std::string>> told_disks_;  // what is told of a disk once, though its two sources differ for a moment
  std::string last_error_;                                    // the last error that the objects held; Failed itself names only the deadline
  std::string last_wait_;                                     // the last reason for which it was not begun, for the same
  Hindrance hindrance_;
  base::TimePoint hindered_since_{};
  std::vector<std::string> unreadable_;
  bool volumes_lost_ = false;  // VolumeSnapshots may not be read
};

// What to do about a wait that ended with `error`: a sentence with a command. `parts` may be nullptr.
std::string next_step(const kube::Name& name, const SnapshotParts* parts, const base::Error& error);

}  // namespace vmbackup::backup
