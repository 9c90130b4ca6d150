#include "backup/snapshot_group.hpp"

#include <algorithm>
#include <functional>

#include "backup/consistency.hpp"
#include "base/parallel.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

class Beginning {
 public:
  Beginning(const std::vector<SnapshotJob*>& jobs, bool threads) : jobs_(jobs), at_once_(threads ? k_most_held : 1) {}

  // False: it failed for one of them.
  bool round(const std::function<void(SnapshotJob&)>& step) {
    each([&step](SnapshotJob& job) {
      if (!job.failed()) step(job);
    });
    return failed() == nullptr;
  }

  // Nothing was created; or a lock was lost, as `lost` says.
  void take_back(const std::optional<Error>& lost = std::nullopt) {
    const Error why = lost ? *lost : all_or_none(failed()->plan().target.vm, *failed()->item().error);
    each([&why](SnapshotJob& job) { job.take_back(why); });
  }

  // Some were created. Those that were not have to be let go, the others deleted before that.
  void undo() {
    const Error why = all_or_none(failed()->plan().target.vm, *failed()->item().error);
    each([&why](SnapshotJob& job) {
      if (job.failed()) {
        job.take_back(why);
      } else {
        job.give_up(why.code(), why.message(), std::nullopt);
      }
    });
  }

  Error error() { return *failed()->item().error; }

 private:
  SnapshotJob* failed() {
    const auto found = std::find_if(jobs_.begin(), jobs_.end(), [](const SnapshotJob* job) { return job->failed(); });
    return found == jobs_.end() ? nullptr : *found;
  }

  void each(const std::function<void(SnapshotJob&)>& step) {
    base::for_each_parallel(jobs_.size(), at_once_, [&](std::size_t i) {
      try {
        step(*jobs_[i]);
      } catch (const std::exception& error) {
        jobs_[i]->break_off(error.what());
      }
    });
  }

  const std::vector<SnapshotJob*>& jobs_;
  const std::size_t at_once_;
};

}  // namespace

Error all_or_none(const kube::Name& vm, const Error& error) {
  return Error(error.code(),
               "the group is taken together or not at all, and VM " + vm.ns + "/" + vm.name + " cannot be taken: " + error.message());
}

Result<base::TimePoint> begin_group(const std::vector<SnapshotJob*>& jobs, const Ground& ground, const Locks& locks, bool threads,
                                    const base::Deadline& deadline, const std::stop_token& stop) {
  Beginning group(jobs, threads);
  const bool held = group.round([&](SnapshotJob& job) { job.prepare(deadline, stop); }) &&
                    group.round([&](SnapshotJob& job) { job.hold(deadline, stop); });
  if (!held) {
    group.take_back();
    return group.error();
  }
  if (locks.lost().stop_requested()) {
    const Error lost(ErrorCode::conflict,
                     "the lock of a VM of the group was lost before the first snapshot was created: " + locks.why_lost());
    group.take_back(lost);
    return lost;
  }
  const base::TimePoint now = ground.clock.now();
  for (SnapshotJob* job : jobs) job->see_group(jobs.size(), now);
  if (!group.round([&](SnapshotJob& job) { job.create(deadline, stop); })) {
    group.undo();
    return group.error();
  }
  return now;
}

GroupReport judge_group(const std::vector<SnapshotItem>& items, const std::optional<base::WallTime>& held) {
  GroupReport report;
  report.vms = items.size();
  report.held = held;
  if (!held) report.reasons.emplace_back("the VMs of the group were not all held at once");
  for (const SnapshotItem& item : items) {
    const std::string vm = "VM " + item.ns + "/" + item.vm;
    if (item.error) {
      report.reasons.push_back(vm + " has no snapshot that could be used");
    } else if (!item.judged) {
      report.reasons.push_back(vm + ": its level is not known");
    } else if (!stood_still(*item.judged)) {
      report.reasons.push_back(vm + " is not shown to have stood still until its last cut: its snapshot is " +
                               std::string(to_string(item.judged->verdict.level)));
    }
  }
  report.together = report.reasons.empty();
  return report;
}

}  // namespace vmbackup::backup
