#include "backup/thaw.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "backup/pause_guard.hpp"
#include "base/parallel.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t k_at_once = 16;
constexpr base::Duration k_call = std::chrono::seconds(10);

FreezeItem begin_item(const ThawItem& item) {
  FreezeItem report;
  const ThawFacts& facts = item.facts;
  report.ns = facts.vm.ns;
  report.vm = facts.vm.name;
  const bool perhaps_frozen = facts.leased && !facts.lease_expired;
  report.state = !facts.running                 ? "stopped"
                 : facts.marked && facts.paused ? "paused"
                 : facts.frozen                 ? "frozen"
                 : perhaps_frozen               ? "unknown"
                                                : "running";
  if (!facts.run.empty()) report.by = "run " + facts.run;
  report.outcome = Outcome::planned;
  if (item.choice.decision == ThawDecision::let_go) return report;
  report.outcome = Outcome::skipped;
  report.reasons = {item.choice.reason};
  // Who names a guest expects it to be let go; that it is not has to be seen.
  if (item.choice.decision == ThawDecision::leave && facts.named) {
    report.outcome = Outcome::failed;
    report.error = Error(ErrorCode::conflict, "VM " + report.ns + "/" + report.vm + " is not thawed: " + item.choice.reason,
                         "thaw it all the same with --force");
  }
  return report;
}

class OneThaw {
 public:
  OneThaw(const Ground& ground, Observer& observer, const ThawItem& item) : ground_(ground), observer_(observer), item_(item) {}

  FreezeItem run() {
    FreezeItem report = begin_item(item_);
    if (item_.choice.decision != ThawDecision::let_go) {
      if (item_.choice.clear_lease) clear_lease();
      return report;
    }
    if (item_.facts.marked && !unpause(report)) return report;
    FreezeRecord record;
    record.seen_frozen = item_.facts.frozen;
    const bool silent = !item_.facts.frozen && !item_.facts.agent;
    // Nothing says that it is frozen, and there is no agent that could be asked.
    if (silent && (!item_.facts.leased || item_.facts.marked)) {
      report.outcome = Outcome::done;
      report.state = "running";
      report.assumptions = {"it is not frozen: its status does not say so, and there is no agent to ask"};
      return report;
    }
    // Whoever froze it: an unfreeze that its agent refuses has taken its safety timer away, and nobody else will try again.
    ground_.debts.add(item_.facts.vm, Debt::freeze);
    const Result<void> gone = let_go(ground_.client, ground_.clock, observer_, GuardTarget{item_.facts.vm, item_.vmi_uid}, record);
    ground_.debts.settle(item_.facts.vm, Debt::freeze);
    if (!gone.ok()) {
      report.error = gone.error();
      report.outcome = Outcome::failed;
      // Without a word that it is frozen it is no debt, only a guest that we could not ask.
      report.held = item_.facts.frozen || item_.facts.leased || record.seen_frozen || record.thaw_refused;
      report.state = "unknown";
      return report;
    }
    report.outcome = Outcome::done;
    report.state = record.thawed_by == "this run" || record.seen_frozen ? "thawed" : "stopped";
    report.thawed_by = record.thawed_by;
    report.thaw_confirmed = ground_.clock.wall_now();
    clear_lease();
    return report;
  }

 private:
  // False: given up, said in `report`.
  bool unpause(FreezeItem& report) {
    PauseRecord record;
    record.seen_paused = item_.facts.paused;
    ground_.debts.add(item_.facts.vm, Debt::pause);
    const GuardTarget target{item_.facts.vm, item_.vmi_uid};
    const Result<void> running = let_run(ground_.client, ground_.clock, observer_, target, base::Duration::zero(), record);
    ground_.debts.settle(item_.facts.vm, Debt::pause);
    if (!running.ok()) {
      report.error = running.error();
      report.outcome = Outcome::failed;
      report.held = true;
      return false;
    }
    const Result<void> dropped =
        drop_held_mark(ground_.client, ground_.clock, item_.facts.vm, item_.mark, base::Deadline::after(ground_.clock, k_call), {});
    if (!dropped.ok()) warn("its mark " + std::string(k_held_annotation) + " could not be taken away: " + dropped.error().message());
    return true;
  }

  void clear_lease() {
    if (!item_.lease) return;
    const Result<void> removed =
        kube::remove_lease(ground_.client, *item_.lease, {.deadline = base::Deadline::after(ground_.clock, k_call)}, {});
    if (removed.ok() || removed.error().code() == ErrorCode::precondition) return;
    warn("Lease " + item_.lease->name.name + " could not be deleted and runs out by itself: " + removed.error().message());
  }

  void warn(const std::string& text) {
    observer_.on({Event::Kind::warning, item_.facts.vm.ns, item_.facts.vm.name, {}, {}, text, ground_.clock.wall_now()});
  }

  const Ground& ground_;
  Observer& observer_;
  const ThawItem& item_;
};

}  // namespace

FreezeReport report_of(const ThawPlan& plan) {
  FreezeReport report;
  report.run = plan.run;
  report.dry_run = true;
  for (const ThawItem& item : plan.items) report.items.push_back(begin_item(item));
  return report;
}

FreezeReport thaw_guests(const Ground& ground, const ThawPlan& plan) {
  FreezeReport report;
  report.run = plan.run;
  report.start_time = ground.clock.wall_now();
  report.items.resize(plan.items.size());
  SerialObserver observer(ground.observer);
  base::for_each_parallel(plan.items.size(), k_at_once,
                          [&](std::size_t i) { report.items[i] = OneThaw(ground, observer, plan.items[i]).run(); });
  report.completion_time = ground.clock.wall_now();
  return report;
}

}  // namespace vmbackup::backup
