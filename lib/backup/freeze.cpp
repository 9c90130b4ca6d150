#include "backup/freeze.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;

FreezeItem item_of(const GuestPlan& guest, const FreezePlan& plan) {
  FreezeItem item;
  item.ns = guest.target.vm.ns;
  item.vm = guest.target.vm.name;
  item.safety_timeout = plan.safety_timeout;
  item.warnings = guest.warnings;
  item.outcome = Outcome::planned;
  item.state = "running";
  if (!guest.refusal) return item;
  item.outcome = Outcome::failed;
  item.state = "unknown";
  item.error = guest.refusal;
  return item;
}

void add_passed_over(const FreezePlan& plan, FreezeReport& report) {
  for (const PassedOver& vm : plan.passed_over) {
    FreezeItem item;
    item.ns = vm.name.ns;
    item.vm = vm.name.name;
    item.outcome = Outcome::skipped;
    item.state = vm.stopped ? "stopped" : "unknown";
    item.reasons = {vm.reason};
    report.items.push_back(std::move(item));
  }
  std::sort(report.items.begin(), report.items.end(),
            [](const FreezeItem& a, const FreezeItem& b) { return std::tie(a.ns, a.vm) < std::tie(b.ns, b.vm); });
}

// Why a guest that could have been frozen was not, or was let go again: another one of its group could not be.
Error because_of(const kube::Name& vm, const kube::Name& other, const Error& cause, bool was_frozen) {
  return Error(cause.code(), "VM " + vm.ns + "/" + vm.name + (was_frozen ? " was let go again" : " was not frozen") + ", because " +
                                 other.ns + "/" + other.name + " could not be frozen, and a group is held whole or not at all");
}

FreezeReport begin_report(const Ground& ground, const FreezePlan& plan) {
  FreezeReport report;
  report.run = plan.run;
  report.start_time = ground.clock.wall_now();
  return report;
}

void end_report(const Ground& ground, const FreezePlan& plan, FreezeReport& report) {
  add_passed_over(plan, report);
  report.completion_time = ground.clock.wall_now();
}

// In a group one refusal refuses all.
void add_refused(const FreezePlan& plan, FreezeReport& report) {
  const auto first = std::find_if(plan.guests.begin(), plan.guests.end(), [](const GuestPlan& guest) { return guest.refusal.has_value(); });
  for (const GuestPlan& guest : plan.guests) {
    FreezeItem item = item_of(guest, plan);
    item.outcome = Outcome::failed;
    if (!item.error) item.error = because_of(guest.target.vm, first->target.vm, *first->refusal, false);
    report.items.push_back(std::move(item));
  }
}

FreezeReport refused_report(const Ground& ground, const FreezePlan& plan) {
  FreezeReport report = begin_report(ground, plan);
  add_refused(plan, report);
  end_report(ground, plan, report);
  return report;
}

// What the hold knows of one guest.
FreezeItem held_item(const GroupHold& hold, std::size_t i, const GuestPlan& guest, const FreezePlan& plan) {
  FreezeItem item = item_of(guest, plan);
  const FreezeRecord& record = hold.record(i);
  item.error = hold.error(i);
  item.outcome = item.error ? Outcome::failed : Outcome::done;
  if (!record.sent) return item;
  item.sent = hold.wall(*record.sent);
  if (record.confirmed) {
    item.confirmed = hold.wall(*record.confirmed);
    item.safety_until = *item.sent + plan.safety_timeout;
    item.state = "frozen";
    item.by = "run " + plan.run;
  }
  if (record.thawed) {
    item.thaw_confirmed = hold.wall(*record.thawed);
    item.window_seconds = base::to_seconds(*record.thawed - *record.sent);
    item.thawed_by = record.thawed_by;
    item.state = record.confirmed || record.seen_frozen ? "thawed" : "running";
    item.by.clear();
  }
  if (record.not_thawed) {
    item.held = true;
    item.state = "unknown";
    item.by = "run " + plan.run;
  }
  if (record.confirmed) {
    item.reasons = hold.verdict(i).reasons;
    item.assumptions = hold.verdict(i).assumptions;
  }
  return item;
}

std::vector<HoldTarget> targets_of(const std::vector<const GuestPlan*>& guests) {
  std::vector<HoldTarget> targets;
  for (const GuestPlan* guest : guests) targets.push_back(guest->target);
  return targets;
}

// All or none: the first failure is everybody's.
void share_failure(const GroupHold& hold, FreezeReport& report) {
  for (std::size_t cause = 0; cause < hold.size(); ++cause) {
    if (!hold.error(cause)) continue;
    for (FreezeItem& item : report.items) {
      if (item.error) continue;
      item.error = because_of({item.ns, item.vm}, hold.target(cause).vm, *hold.error(cause), item.confirmed.has_value());
      item.outcome = Outcome::failed;
    }
    return;
  }
}

}  // namespace

FreezeReport report_of(const FreezePlan& plan) {
  FreezeReport report;
  report.run = plan.run;
  report.dry_run = true;
  if (plan.refused()) {
    add_refused(plan, report);
  } else {
    for (const GuestPlan& guest : plan.guests) report.items.push_back(item_of(guest, plan));
  }
  add_passed_over(plan, report);
  return report;
}

FreezeReport freeze_and_leave(const Ground& ground, const FreezePlan& plan, const base::Deadline& deadline, const std::stop_token& stop) {
  if (plan.refused()) return refused_report(ground, plan);
  FreezeReport report = begin_report(ground, plan);
  std::vector<const GuestPlan*> guests;
  for (const GuestPlan& guest : plan.guests) {
    if (guest.refusal) {
      report.items.push_back(item_of(guest, plan));
    } else {
      guests.push_back(&guest);
    }
  }
  // Without a group each guest stands alone: what fails for one is nothing to another.
  const std::size_t step = plan.group ? std::max<std::size_t>(guests.size(), 1) : 1;
  for (std::size_t begin = 0; begin < guests.size(); begin += step) {
    const std::vector<const GuestPlan*> part(guests.begin() + static_cast<std::ptrdiff_t>(begin),
                                             guests.begin() + static_cast<std::ptrdiff_t>(std::min(begin + step, guests.size())));
    GroupHold hold(ground, {plan.safety_timeout, plan.lock, plan.probe}, targets_of(part));
    hold.take(deadline, stop);
    if (hold.ok() && !stop.stop_requested()) {
      hold.hand_over();
    } else {
      hold.release(ground.clock.now());
    }
    FreezeReport done;
    for (std::size_t i = 0; i < part.size(); ++i) {
      done.items.push_back(held_item(hold, i, *part[i], plan));
      FreezeItem& item = done.items.back();
      if (item.state == "thawed" && !item.error && stop.stop_requested()) {
        item.error = Error(ErrorCode::cancelled, "interrupted: VM " + item.ns + "/" + item.vm + " was frozen and let go again");
        item.outcome = Outcome::failed;
      }
    }
    share_failure(hold, done);
    for (FreezeItem& item : done.items) report.items.push_back(std::move(item));
  }
  end_report(ground, plan, report);
  return report;
}

FreezeReport freeze_around(const Ground& ground, const FreezePlan& plan, const Act& act, const base::Deadline& deadline,
                           const std::stop_token& stop) {
  if (plan.refused()) return refused_report(ground, plan);
  FreezeReport report = begin_report(ground, plan);
  std::vector<const GuestPlan*> guests;
  for (const GuestPlan& guest : plan.guests) guests.push_back(&guest);
  GroupHold hold(ground, {plan.safety_timeout, plan.lock, plan.probe}, targets_of(guests));
  hold.take(deadline, stop);
  if (hold.ok() && !guests.empty() && !stop.stop_requested()) {
    Standstill standstill;
    base::TimePoint first = *hold.record(0).sent;
    for (std::size_t i = 0; i < hold.size(); ++i) {
      standstill.vms.push_back(hold.target(i).vm);
      first = std::min(first, *hold.record(i).sent);
    }
    standstill.frozen = ground.clock.wall_now();
    standstill.safety_until = hold.wall(first) + plan.safety_timeout;
    ground.observer.on({Event::Kind::held, standstill.vms.front().ns, standstill.vms.front().name, {}, {}, {}, standstill.frozen});
    std::stop_source end;
    const std::stop_callback by_caller(stop, [&end] { end.request_stop(); });
    const std::stop_callback by_lock(hold.lost(), [&end] { end.request_stop(); });
    report.command = act(standstill, end.get_token());
    if (report.command->given_up && report.command->why_given_up.empty()) {
      report.command->why_given_up = stop.stop_requested() ? "interrupted" : hold.why_lost();
    }
  }
  // Nothing was proved by a command that was cut short, and its guests are not kept waiting for it.
  hold.release(ground.clock.now(), report.command && !report.command->given_up);
  for (std::size_t i = 0; i < guests.size(); ++i) report.items.push_back(held_item(hold, i, *guests[i], plan));
  if (!report.command) {
    share_failure(hold, report);
    for (FreezeItem& item : report.items) {
      if (item.error || !stop.stop_requested()) continue;
      item.error =
          Error(ErrorCode::cancelled, "interrupted: VM " + item.ns + "/" + item.vm + " was let go again, and the command was not run");
      item.outcome = Outcome::failed;
    }
  }
  end_report(ground, plan, report);
  return report;
}

}  // namespace vmbackup::backup
