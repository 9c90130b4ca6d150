// Removing the snapshots that no retention rule keeps.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "backup/inventory.hpp"
#include "backup/retention.hpp"

namespace vmbackup::backup {

struct ForgetRequest {
  std::string ns;                // "" = all namespaces
  std::vector<std::string> vms;  // only of these; empty: of all
  std::string selector;          // only of VMs that have these labels, so never of one that is gone; "" = of all
  RetentionRules rules;
};

// What will be done, decided before anything is changed. `plans` belong to the items of `report` that go, in their order.
struct ForgetPlan {
  ForgetReport report;
  std::vector<DeletePlan> plans;
  std::vector<std::string> warnings;  // one sentence each
};

// Reads the server's clock, the snapshots, their contents, the VMs, and what reads snapshots. Changes nothing. The items stand by
// namespace and VM, newest first. Kept for lack of rights: if one kind of possible readers may not be listed, every snapshot is.
// not_found: a VM of `vms` that neither exists nor has a snapshot; forbidden: snapshots or VMs may not be listed; precondition: no snapshot
// API; else what the client says.
base::Result<ForgetPlan> plan_forget(kube::Client& client, base::Clock& clock, const ForgetRequest& request, const base::Deadline& deadline,
                                     const std::stop_token& stop);

// Deletes what the plan says goes, one after the other, each with its UID as precondition, and (with `wait`) until it is gone. One that
// fails does not hold up the next; once stopped or past the deadline the rest is left as it is, with that error. The reports of the plan.
ForgetReport carry_out(kube::Client& client, base::Clock& clock, Observer& observer, const ForgetPlan& plan, bool wait,
                       const base::Deadline& deadline, const std::stop_token& stop);

}  // namespace vmbackup::backup
