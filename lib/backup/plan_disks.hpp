// The disks of a VM in the plan of a snapshot: which will be in it, what is known of them, what stands in the way.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backup/disk_facts.hpp"
#include "backup/snapshot.hpp"
#include "base/result.hpp"
#include "kubevirt/guest_control.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

// By the VM's spec and what KubeVirt says of its volumes in the VM's status.
std::vector<DiskReport> plan_disks(const kubevirt::VirtualMachine& vm);

// Those of the running instance that are not in the VM's spec: no snapshot holds them.
void add_hotplugged(const kubevirt::VirtualMachineInstance& vmi, std::vector<DiskReport>& disks);

// Why no snapshot can come of these disks; `what` names the VM. precondition: none would be in it, or KubeVirt cannot choose a class.
std::optional<base::Error> check_disks(const std::vector<DiskReport>& disks, const std::string& what);

// One warning for each disk that the snapshot will lack.
void warn_of_left_out(SnapshotPlan& plan);

// Which disks the agent lists a file system on.
void add_reach(const kubevirt::VirtualMachineInstance& vmi, const kubevirt::GuestInfo& info, SnapshotPlan& plan);

// What the storage has for each disk, who else uses it, and what of that stands in the way.
void add_facts(const DiskFacts& facts, const kubevirt::VirtualMachine& vm, SnapshotPlan& plan);

}  // namespace vmbackup::backup
