// The best level that can come of a planned snapshot.
#pragma once

#include "backup/snapshot.hpp"

namespace vmbackup::backup {

// The rows of kubectl-vmbackup-levels(7), as far as a plan can see: best and best_because. Of all the rest of the plan; nothing where it is
// refused.
void judge_best(SnapshotPlan& plan);

}  // namespace vmbackup::backup
