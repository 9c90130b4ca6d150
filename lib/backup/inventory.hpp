// Looking at snapshots that exist: show, wait, delete. Lists: listing.hpp.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "backup/events.hpp"
#include "backup/listing.hpp"
#include "backup/report.hpp"
#include "backup/snapshot.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

// One snapshot with content and VolumeSnapshots (as far as they may be read; what may not is in `reasons`).
// not_found: no such snapshot, with "did you mean". The item's error is empty; outcome is done for Succeeded and ready, else failed.
base::Result<SnapshotItem> show_snapshot(kube::Client& client, const kube::Name& name, bool ignore_recorded, const base::Deadline& deadline,
                                         const std::stop_token& stop);

// The same where the API version is known already.
base::Result<SnapshotItem> read_snapshot(kube::Client& client, const std::string& version, const kube::Name& name, bool ignore_recorded,
                                         const kube::Call& call, const std::stop_token& stop);

enum class AwaitState { ready, cut, deleted };
// Follows existing snapshots of one namespace until each has come to `state` or cannot any more; errors as of take_snapshot. For
// `deleted`, being there no more is success. One item per name, in their order; no name may come twice. However many they are, there is one
// list and one watch per kind. Without `wait_on_error` an error that is known not to heal (hindrance.hpp) ends the wait as well: internal.
std::vector<SnapshotItem> await_snapshots(kube::Client& client, base::Clock& clock, Observer& observer, const std::string& ns,
                                          const std::vector<std::string>& names, AwaitState state, bool wait_on_error,
                                          const base::Deadline& deadline, const std::stop_token& stop);

// What a delete will remove and what Retain keeps; with UIDs, so that nothing but the planned object can be hit.
struct DeletePlan {
  DeleteItem item;
  kube::Name name;
  std::string uid;
  std::string api_version;
  std::string content;
  std::vector<std::string> volume_snapshots;
  bool retains = false;
  bool in_use = false;  // something is known to read it: item.users
};
// The plan for a snapshot that was looked at already; without what uses it.
DeletePlan delete_plan_of(const SnapshotItem& shown, const std::string& api_version);
// Also asks what still reads the snapshot: item.users. not_found: no such snapshot, with "did you mean".
base::Result<DeletePlan> plan_delete(kube::Client& client, const kube::Name& name, const base::Deadline& deadline,
                                     const std::stop_token& stop);
// Sends the delete (UID as precondition) and waits until the snapshot and, unless they are retained, its content
// and VolumeSnapshots (which the garbage collector takes) are gone.
// item.error: precondition (replaced since the plan), timeout (what still exists is named), cancelled, or what the client said.
DeleteItem delete_snapshot(kube::Client& client, base::Clock& clock, Observer& observer, const DeletePlan& plan, bool wait,
                           const base::Deadline& deadline, const std::stop_token& stop);

}  // namespace vmbackup::backup
