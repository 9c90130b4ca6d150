// The command thaw: find guests that stand still, let them go, confirm it.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/group_hold.hpp"
#include "backup/held_mark.hpp"
#include "backup/report.hpp"
#include "backup/select.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kube/lease.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

struct ThawRequest {
  Selection selection;
  bool force = false;                        // also what others hold, and in the middle of a snapshot
  std::optional<base::Duration> older_than;  // only what has been held for so long; needs a selection without names
  std::string run;
};

// What is known of one guest.
struct ThawFacts {
  kube::Name vm;
  bool named = false;    // by the caller, one by one
  bool running = false;  // it has an instance
  bool agent = false;
  bool frozen = false;  // by its status
  bool paused = false;
  bool marked = false;  // k_held_annotation
  std::string snapshot_in_progress;
  bool leased = false;         // a Lease of this tool names it
  std::string run;             // that wrote it, or the mark
  bool lease_expired = false;  // it stood unchanged for its whole length while we watched
  std::optional<base::Duration> held_for;
};

// What to do with it. A pure function; in this order:
//   not running                               nothing; its lease is cleared away where it has run out
//   a snapshot in progress, not forced        left alone: the snapshot thaws it, and would be torn
//   named                                     let go (an unfreeze of a guest that is not frozen changes nothing)
//   neither frozen nor paused by us           nothing; its lease is cleared away where it has run out
//   not ours, not forced                      left alone
//   ours, its lease alive, not forced         left alone: its run is under way
//   held_for unknown or too short             left alone
//   else                                      let go
enum class ThawDecision { let_go, nothing, leave };
struct ThawChoice {
  ThawDecision decision = ThawDecision::leave;
  std::string reason;        // why not let go, one clause
  bool clear_lease = false;  // it has run out and says nothing any more
};
ThawChoice choose(const ThawFacts& facts, bool force, const std::optional<base::Duration>& older_than);

struct ThawItem {
  ThawFacts facts;
  ThawChoice choice;
  std::string vmi_uid;
  std::string vm_uid;
  std::string mark;  // the value of k_held_annotation
  std::optional<kube::Lease> lease;
};
struct ThawPlan {
  std::string run;
  std::vector<ThawItem> items;           // by namespace and name; without names: only those that are frozen, paused by us or leased
  std::optional<base::Error> no_leases;  // they may not be read: nothing counts as ours but what is marked
};

// Reads VMs, instances and leases. Where frozen guests are held by leases of this tool, looks at these again until each has changed or run
// out, within `deadline` and `stop` (then they count as alive). Changes nothing. Errors as select_vms.
base::Result<ThawPlan> plan_thaw(kube::Client& client, base::Clock& clock, const ThawRequest& request, const base::Deadline& deadline,
                                 const std::stop_token& stop);

FreezeReport report_of(const ThawPlan& plan);

// Unpauses what we paused, thaws, confirms, clears leases and marks away. Not ended by a stop request: each guest has a deadline of its
// own, and is a debt of this process from the first unfreeze until then.
FreezeReport thaw_guests(const Ground& ground, const ThawPlan& plan);

}  // namespace vmbackup::backup
