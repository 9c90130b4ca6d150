// Who makes a guest stand still for a planned snapshot.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "backup/snapshot.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/guest_control.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

// All references must outlive it.
class HoldPlanner {
 public:
  HoldPlanner(kube::Client& client, const SnapshotRequest& request, const kube::Call& call, const std::stop_token& stop)
      : client_(client), request_(request), call_(call), stop_(stop) {}

  // Once per namespace in which a guest could be frozen, by us or by KubeVirt, whose freeze we may have to end. Errors as kube::may.
  base::Result<void> ask_rights(const std::map<kube::Name, kubevirt::VirtualMachineInstance>& running);

  // Completes the plan of a running VM: who holds it and for how long, and what its agent says. `what` names the VM. Why we cannot hold it
  // ourselves, which is a refusal where that is asked for. After ask_rights, called by several threads.
  std::optional<base::Error> choose(const kubevirt::VirtualMachineInstance& vmi, const std::string& what, SnapshotPlan& plan) const;

 private:
  std::optional<base::Error> ask_agent(const kubevirt::VirtualMachineInstance& vmi, const std::string& what, SnapshotPlan& plan) const;

  kube::Client& client_;
  const SnapshotRequest& request_;
  const kube::Call& call_;
  const std::stop_token& stop_;
  std::map<std::string, std::string> lacking_;  // by namespace: the right that is missing for a freeze; empty: none is
};

// A guest that we freeze stands still until its disks are cut: where KubeVirt will not begin at once, its own freeze comes later and is
// shorter. Changes nothing where nobody but us is to hold it.
void leave_freeze_to_kubevirt(SnapshotPlan& plan);

}  // namespace vmbackup::backup
