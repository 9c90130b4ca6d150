// Another try for the VMs whose snapshot failed.
#pragma once

#include <cstddef>
#include <stop_token>

#include "backup/ground.hpp"
#include "backup/snapshot.hpp"
#include "base/clock.hpp"

namespace vmbackup::backup {

// As take_snapshots. What failed and may go better the next time is looked at and planned anew and taken again, all of it together, up to
// `retries` times, 10 s later the first time, 10 s more each time, a minute at the most. Each try has a name of its own, fixed in advance:
// that of the first with "-2", "-3", ... A failed snapshot is left and named in item.left; item.tries counts, item.reasons has why each try
// before failed. Of a group all are taken again.
// Not tried again: what was refused for good, is not permitted, was deleted by somebody, whose guest may still be held, or whose
// snapshot is still under way; and nothing once `deadline` would pass before the next try, or after `stop`.
TakenSnapshots take_with_retries(const Ground& ground, const SnapshotRequest& request, const SnapshotSet& set, const TakeOptions& options,
                                 std::size_t retries, const base::Deadline& deadline, const std::stop_token& stop);

// Whether another try of what `plan` came to could end better.
bool worth_another_try(const SnapshotPlan& plan, const SnapshotItem& item, const TakeOptions& options);

}  // namespace vmbackup::backup
