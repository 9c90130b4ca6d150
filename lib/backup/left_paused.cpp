#include "backup/left_paused.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include "backup/thaw.hpp"
#include "base/text.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Duration k_limit = std::chrono::seconds(75);
constexpr base::Duration k_look_again = std::chrono::seconds(1);

// KubeVirt lets the VM go a moment after it has called its snapshot Succeeded.
Result<ThawPlan> plan_when_free(const Ground& ground, const ThawRequest& request) {
  const base::Deadline limit = base::Deadline::after(ground.clock, k_limit);
  for (;;) {
    Result<ThawPlan> plan = plan_thaw(ground.client, ground.clock, request, limit, {});
    const auto busy = [](const ThawItem& item) { return !item.facts.snapshot_in_progress.empty(); };
    if (!plan.ok() || std::none_of(plan->items.begin(), plan->items.end(), busy) || limit.passed(ground.clock)) return plan;
    ground.clock.sleep_until(ground.clock.now() + k_look_again, {});
  }
}

void hold_against(SnapshotItem& item, const Error& error) {
  if (!item.freeze) item.freeze.emplace();
  item.freeze->held = true;
  if (item.error) {
    item.reasons.push_back(error.message());
  } else {
    item.outcome = Outcome::failed;
    item.error = error;
  }
}

// What came of it.
void tell(const Result<FreezeReport>& report, SnapshotItem& item) {
  std::string why = report.ok() ? std::string() : report.error().message();
  if (report.ok()) {
    const auto found = std::find_if(report->items.begin(), report->items.end(),
                                    [&item](const FreezeItem& guest) { return guest.ns == item.ns && guest.vm == item.vm; });
    // Not told of at all: nothing marks it any more.
    const bool runs = found == report->items.end() || (!found->error && found->state != "paused" && found->state != "unknown");
    if (runs) {
      item.reasons.emplace_back("an earlier part of the run had left the VM paused; it runs again");
      return;
    }
    why = found->error ? found->error->message() : base::join(found->reasons, "; ");
  }
  const kube::Name vm{item.ns, item.vm};
  hold_against(item, Error(ErrorCode::unavailable,
                           "VM " + vm.ns + "/" + vm.name + " may still be paused, as an earlier part of the run left it: " + why,
                           "let it run with: " + thaw_command(vm)));
}

}  // namespace

bool left_paused(const SnapshotPlan& plan, const std::string& run) { return plan.resumes && !run.empty() && plan.paused_by == run; }

void let_left_paused_go(const Ground& ground, const SnapshotSet& set, std::vector<SnapshotItem>& items) {
  std::map<std::string, ThawRequest> spaces;
  for (const SnapshotPlan& plan : set.plans) {
    if (!left_paused(plan, set.run)) continue;
    ThawRequest& request = spaces[plan.target.vm.ns];
    request.run = set.run;
    request.selection.ns = plan.target.vm.ns;
    request.selection.exactly.push_back(plan.target.vm);
  }
  for (const auto& [ns, request] : spaces) {
    const Result<ThawPlan> planned = plan_when_free(ground, request);
    const Result<FreezeReport> report = planned.ok() ? Result<FreezeReport>(thaw_guests(ground, *planned)) : planned.error();
    for (std::size_t i = 0; i < set.plans.size(); ++i) {
      if (set.plans[i].target.vm.ns == ns && left_paused(set.plans[i], set.run)) tell(report, items[i]);
    }
  }
}

}  // namespace vmbackup::backup
