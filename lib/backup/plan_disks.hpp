// The disks of a VM in the plan of a snapshot: which will be in it, what is known of them, what stands in the way.
#pragma once

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

// The state of TPM and firmware that no snapshot holds: KubeVirt looks for them in the VM's own definition alone, while its instance has
// them by its preference. `vmi`: of a running VM, or nullptr; then it is told by the claim that is there. [kubevirt 1.9.0,
// pkg/storage/utils/volumes.go needsBackendPVC; the answers of a real 1.9.0]
void add_unseen_state(const kubevirt::VirtualMachine& vm, const kubevirt::VirtualMachineInstance* vmi, const DiskFacts& facts,
                      std::vector<DiskReport>& disks);

// One warning for each disk that the snapshot will lack.
void warn_of_left_out(SnapshotPlan& plan);

// Which disks the agent lists a file system on.
void add_reach(const kubevirt::VirtualMachineInstance& vmi, const kubevirt::GuestInfo& info, SnapshotPlan& plan);

// What the storage has for each disk, and who else uses it.
void add_facts(const DiskFacts& facts, const kubevirt::VirtualMachine& vm, SnapshotPlan& plan);

// After add_facts: why no snapshot can come of the disks as things are, the weightiest first; `what` names the VM, `has_instance` as for
// obstacles(). What passes by itself becomes a warning, and the plan waits for it.
//   precondition  KubeVirt would wait in vain, cannot choose a class or would take one of another driver, or no disk would be in it
//   conflict      it would wait in vain, and all because others use the disks
std::vector<base::Error> check_disks(const DiskFacts& facts, const kubevirt::VirtualMachine& vm, const std::string& what, bool has_instance,
                                     SnapshotPlan& plan);

}  // namespace vmbackup::backup
