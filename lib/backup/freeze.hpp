// The command freeze: plan, freeze guests, and either leave them to their safety timers or run something and let them go.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/group_hold.hpp"
#include "backup/report.hpp"
#include "backup/select.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace vmbackup::backup {

struct FreezeRequest {
  Selection selection;
  std::chrono::seconds safety_timeout{60};
  bool group = true;  // all or none; false: each for itself
  LockOptions lock;
  std::string run;
  bool probe = false;  // ask the agents live; needs the rights to list pods and to exec in them
};

struct GuestPlan {
  HoldTarget target;
  std::vector<std::string> warnings;
  std::optional<base::Error> refusal;  // nothing may be sent to this guest
};

struct FreezePlan {
  std::string run;
  bool group = true;
  std::chrono::seconds safety_timeout{};
  LockOptions lock;
  bool probe = false;
  std::vector<GuestPlan> guests;  // by namespace and name
  std::vector<PassedOver> passed_over;
  std::vector<std::string> warnings;  // of the whole: a Velero backup that is under way
  bool refused() const;
};

// Reads the VMs, their instances and agents, and asks whether we may freeze and thaw. Changes nothing. Refusals are kept per guest:
//   precondition  no running instance, no agent, an agent that lacks a command, paused, being deleted
//   conflict      frozen already, a snapshot, restore, backup or migration under way
// A guest that is called frozen is looked at again for up to 7 s: the status may be older than the last thaw.
// Errors of the whole: as select_vms; forbidden: we may not freeze or not thaw.
base::Result<FreezePlan> plan_freeze(kube::Client& client, base::Clock& clock, const FreezeRequest& request, const base::Deadline& deadline,
                                     const std::stop_token& stop);

// What a dry run prints.
FreezeReport report_of(const FreezePlan& plan);

// Freezes as planned and leaves the guests frozen until their safety timers or `thaw`. With `group` the first failure lets all go again.
FreezeReport freeze_and_leave(const Ground& ground, const FreezePlan& plan, const base::Deadline& deadline, const std::stop_token& stop);

// What runs while the guests stand still, and what it is told.
struct Standstill {
  std::vector<kube::Name> vms;
  base::WallTime frozen{};        // since when all stand still
  base::WallTime safety_until{};  // the earliest time at which a guest thaws by itself
};
// Returns when it is done or soon after `stop` was requested.
using Act = std::function<CommandReport(const Standstill&, const std::stop_token& stop)>;

// Freezes all guests, calls `act` once all stand still, and lets them go, whatever happens. `act` is not called when a guest cannot be
// frozen. It is stopped by `stop` and when a lock is lost. The plan must be one of a group.
FreezeReport freeze_around(const Ground& ground, const FreezePlan& plan, const Act& act, const base::Deadline& deadline,
                           const std::stop_token& stop);

}  // namespace vmbackup::backup
