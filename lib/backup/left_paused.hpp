// VMs that an earlier part of a run had paused for their snapshots, and did not let go, for it was killed.
#pragma once

#include <vector>

#include "backup/ground.hpp"
#include "backup/report.hpp"
#include "backup/snapshot.hpp"

namespace vmbackup::backup {

// Whether the VM carries the mark of an earlier part of the same run.
bool left_paused(const SnapshotPlan& plan, const std::string& run);

// After the run that took the others up: lets them run, as the command thaw does, and says so in their items (one per plan, in their
// order). One that cannot be let go, for its snapshot is still under way or the other part of the run lives, is held: item.freeze.held.
// Takes no stop token: nothing cancels a thaw. Within 75 s beside what the thaw itself takes.
void let_left_paused_go(const Ground& ground, const SnapshotSet& set, std::vector<SnapshotItem>& items);

}  // namespace vmbackup::backup
