#include "backup/snapshot_retry.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "backup/consistency.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Duration k_pause = std::chrono::seconds(10);
constexpr base::Duration k_longest_pause = std::chrono::minutes(1);

std::string why_again(const SnapshotItem& item) {
  if (item.error) return item.error->message();
  if (!item.judged || !item.uid.empty()) return "another VM of the group failed";
  return "it was " + std::string(to_string(item.judged->verdict.level)) + ", and was deleted again";
}

class Tries {
 public:
  Tries(const Ground& ground, const SnapshotRequest& request, const SnapshotSet& set, const TakeOptions& options)
      : ground_(ground), request_(request), options_(options), group_(set.group), plans_(set.plans) {
    for (std::size_t i = 0; i < plans_.size(); ++i) index_[plans_[i].target.vm] = i;
  }

  void begin(TakenSnapshots taken) { taken_ = std::move(taken); }
  TakenSnapshots end() { return std::move(taken_); }

  // The VMs of the next try.
  std::vector<kube::Name> open() const {
    std::vector<kube::Name> vms;
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      const bool again = worth_another_try(plans_[i], taken_.items[i], options_);
      if (again) vms.push_back(plans_[i].target.vm);
      if (group_ && taken_.items[i].error && !again) return {};
    }
    if (!group_ || vms.empty()) return vms;
    vms.clear();
    for (const SnapshotPlan& plan : plans_) vms.push_back(plan.target.vm);
    return vms;
  }

  void tell(const std::vector<kube::Name>& vms, base::Duration pause) const {
    if (!options_.note) return;
    for (const kube::Name& vm : vms) {
      const SnapshotItem& item = taken_.items[index_.at(vm)];
      if (!item.error && group_) continue;
      options_.note("VM " + vm.ns + "/" + vm.name + " is tried again in " + base::format_duration(pause) + ": " + why_again(item));
    }
  }

  void take(const std::vector<kube::Name>& vms, std::size_t attempt, const base::Deadline& deadline, const std::stop_token& stop) {
    SnapshotRequest request = request_;
    request.selection = {};
    request.selection.exactly = vms;
    request.attempt = attempt;
    // They were chosen; what has come meanwhile may be what another of their tries made.
    request.shard.reset();
    request.skip_if_newer.reset();
    const Result<SnapshotSet> set = plan_snapshots(ground_.client, ground_.clock, request, deadline, stop);
    if (!set.ok()) {
      if (options_.note) options_.note("nothing could be tried again: " + set.error().message());
      return;
    }
    if (group_ && set->plans.size() != plans_.size()) return;
    TakenSnapshots again = take_snapshots(ground_, *set, options_, deadline, stop);
    for (std::size_t i = 0; i < set->plans.size(); ++i) replace(set->plans[i], std::move(again.items[i]), attempt);
    if (group_) taken_.group = std::move(again.group);
  }

 private:
  void replace(const SnapshotPlan& plan, SnapshotItem item, std::size_t attempt) {
    const std::size_t at = index_.at(plan.target.vm);
    SnapshotItem& before = taken_.items[at];
    item.tries = attempt;
    item.failed_tries = std::move(before.failed_tries);
    item.failed_tries.push_back("try " + std::to_string(attempt - 1) + ": " + why_again(before));
    item.left.insert(item.left.begin(), before.left.begin(), before.left.end());
    if (!before.error && !before.uid.empty()) item.left.push_back("VirtualMachineSnapshot " + before.ns + "/" + before.name + ", usable");
    before = std::move(item);
    plans_[at] = plan;
  }

  const Ground& ground_;
  const SnapshotRequest& request_;
  const TakeOptions& options_;
  const bool group_;
  std::vector<SnapshotPlan> plans_;  // of the last try of each VM
  std::map<kube::Name, std::size_t> index_;
  TakenSnapshots taken_;
};

}  // namespace

bool worth_another_try(const SnapshotPlan& plan, const SnapshotItem& item, const TakeOptions& options) {
  if (item.freeze && item.freeze->held) return false;
  if (!item.error) {
    const Level required = options.require.value_or(Level::unknown);
    return options.delete_weaker && item.uid.empty() && item.judged && !meets(item.judged->verdict.level, required, item.judged->evidence);
  }
  // KubeVirt goes on with the one that is there, and would hold up another.
  if (!item.uid.empty() && item.phase == "InProgress") return false;
  switch (item.error->code()) {
    case ErrorCode::internal:
    case ErrorCode::unavailable:
    case ErrorCode::conflict:
      return true;
    case ErrorCode::precondition:
      return !plan.refusal;
    default:
      return false;
  }
}

TakenSnapshots take_with_retries(const Ground& ground, const SnapshotRequest& request, const SnapshotSet& set, const TakeOptions& options,
                                 std::size_t retries, const base::Deadline& deadline, const std::stop_token& stop) {
  Tries tries(ground, request, set, options);
  tries.begin(take_snapshots(ground, set, options, deadline, stop));
  for (std::size_t attempt = 2; attempt <= retries + 1; ++attempt) {
    const std::vector<kube::Name> vms = tries.open();
    const base::Duration pause = std::min(k_pause * static_cast<int>(attempt - 1), k_longest_pause);
    const base::TimePoint next = ground.clock.now() + pause;
    if (vms.empty() || next >= deadline.when()) break;
    tries.tell(vms, pause);
    if (!ground.clock.sleep_until(next, stop)) break;
    tries.take(vms, attempt, deadline, stop);
  }
  return tries.end();
}

}  // namespace vmbackup::backup
