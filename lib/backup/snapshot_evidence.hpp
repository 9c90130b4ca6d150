// From what one process saw while it took a snapshot to the evidence that is kept of it: a pure function.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backup/assemble.hpp"
#include "backup/freeze_guard.hpp"
#include "backup/guest_watch.hpp"
#include "backup/live_probe.hpp"
#include "backup/recipe.hpp"
#include "backup/snapshot.hpp"
#include "base/clock.hpp"
#include "kubevirt/evidence.hpp"

namespace vmbackup::backup {

// Offsets are whole milliseconds: what ends a window has to lie beyond the rounding.
inline constexpr base::Duration k_beyond_rounding = std::chrono::milliseconds(2);

// Times on our steady clock.
struct GroupFact {
  std::size_t vms = 0;
  base::TimePoint held;  // all of them stood still then
};
struct SnapshotSeen {
  kubevirt::Hold hold = kubevirt::Hold::none;
  base::TimePoint create_sent;
  base::WallTime create_wall{};                 // our wall clock at create_sent
  std::map<std::string, base::TimePoint> cuts;  // when the cut of each disk was seen
  // When KubeVirt was seen to call it Succeeded, which it does once its content holds the time of every cut, and which may reach us before
  // the content does. [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go updateSnapshotStatus]
  std::optional<base::TimePoint> taken;
  std::optional<FreezeRecord> freeze;         // our own, and its thaw
  std::optional<base::TimePoint> pause_sent;  // our own pause
  std::vector<StepFact> recipe;
  std::optional<GroupFact> group;
  std::optional<LiveWord> probe;  // where the agent was asked itself
  bool thawed_before = false;     // we let it go just before the snapshot, after a freeze that did not come about
  bool unbroken = false;          // the watch of the guest had no gap until `until`
  GuestHistory guest;
  base::TimePoint until;  // when `guest` was looked at, after the last cut was seen
};

// `plan` for the guest's system and the timeouts; `parts` as they are after the last cut, with the plan's disks in parts.planned.
kubevirt::Evidence evidence_from(const SnapshotSeen& seen, const SnapshotPlan& plan, const SnapshotParts& parts);

}  // namespace vmbackup::backup
