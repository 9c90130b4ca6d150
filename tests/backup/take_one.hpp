// One snapshot, from the plan to the end, for tests that need one.
#pragma once

#include "backup/snapshot.hpp"
#include "support/fake_clock.hpp"

namespace vmbackup::test {

// The plan of the only VM that is selected, or why there is none.
inline base::Result<backup::SnapshotPlan> plan_one(kube::Client& client, base::Clock& clock, const backup::SnapshotRequest& request,
                                                   const base::Deadline& deadline) {
  const base::Result<backup::SnapshotSet> set = backup::plan_snapshots(client, clock, request, deadline, {});
  if (!set.ok()) return set.error();
  const backup::SnapshotPlan& plan = set->plans.at(0);
  if (plan.refusal) return *plan.refusal;
  return plan;
}

inline backup::SnapshotItem take_one(kube::Client& client, base::Clock& clock, backup::Observer& observer, const backup::SnapshotPlan& plan,
                                     const backup::TakeOptions& options, const base::Deadline& deadline, const std::stop_token& stop = {}) {
  backup::Debts debts;
  const backup::SnapshotSet set{{}, false, plan.api_version, {plan}, {}, {}};
  return backup::take_snapshots({client, clock, observer, debts}, set, options, deadline, stop).items.at(0);
}

}  // namespace vmbackup::test
