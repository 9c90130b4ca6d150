// A group of snapshots: all its VMs stand still together before the first snapshot is created, or none is taken.
#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <vector>

#include "backup/lock.hpp"
#include "backup/report.hpp"
#include "backup/snapshot_job.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

// No more guests than this stand still at once, in a group or not: each has a thread while it is held or let go.
inline constexpr std::size_t k_most_held = 64;

// Why another VM of the group is not taken: `error` of `vm`. Its code stays, so that the whole group has one.
base::Error all_or_none(const kube::Name& vm, const base::Error& error);

// Prepares all, then holds all, then creates all; each of these at once for all, and none is begun before the one before has ended for all.
// Good: all are created, the value is the instant from which on each of them stood still. Otherwise each job has failed, what was held is
// let go, and what was created is deleted before that. Blocks; `threads` false: all on the caller's thread. Between two steps the locks
// must not have been lost.
//   cancelled, timeout  as each step tells
//   conflict            a lock was lost
base::Result<base::TimePoint> begin_group(const std::vector<SnapshotJob*>& jobs, const Ground& ground, const Locks& locks, bool threads,
                                          const base::Deadline& deadline, const std::stop_token& stop);

// From the items as they ended. `held` as begin_group told, by our wall clock.
GroupReport judge_group(const std::vector<SnapshotItem>& items, const std::optional<base::WallTime>& held);

}  // namespace vmbackup::backup
