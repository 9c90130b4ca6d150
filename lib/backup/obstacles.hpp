// What keeps KubeVirt from beginning with a snapshot of a VM, and whether that goes away by itself.
#pragma once

#include <string>
#include <vector>

#include "backup/disk_facts.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

struct Obstacle {
  std::string why;      // one clause
  bool passes = false;  // what is under way ends it, or it is not known that nothing does: not yet, rather than never
  bool busy = false;    // of those that do not: somebody uses the disk
  std::string mend;     // of those that do not: what to do, a clause that ends with a command
};

// A pure function: why KubeVirt would not begin with a snapshot of `vm` because of this claim of it, also where it would leave the disk
// out. Empty where nothing is known to be in the way. It looks again every 5 s, until the snapshot's deadline. `has_instance`: the VM has
// an instance, be it one that has ended.
//   the claim                                          passes when
//   does not exist                                     a DataVolume that has not failed, or a template of the VM, is to make it
//   is being deleted                                   never: that cannot be taken back. KubeVirt 1.7 does not mind: there force helps
//   its DataVolume has not Succeeded                   it goes on: not Failed, not Paused, not without a first consumer, and it exists
//   is not bound                                       its volume is being made: not Lost, not without a class, not without a first
//   consumer is used by a pod, while the VM has no instance     the pod goes away, is what is left of the VM's own instance, or fills the
//   disk.
//                                                      Only Succeeded ends a pod here; Failed does not
// A stopped VM is no first consumer, for nothing starts it.
// [kubevirt 1.9.0, pkg/storage/snapshot/source.go: Lock, verifyVolumes; pkg/virt-controller/watch/util/util.go: PodsUsingPVCs;
// containerized-data-importer-api, pkg/apis/core/v1beta1/utils.go: IsPopulated; the answers of a real 1.9.0]
std::vector<Obstacle> obstacles(const kubevirt::VirtualMachine& vm, const std::string& claim, const ClaimFacts& facts, bool has_instance);

// The same where the VM keeps a persistent state and there is no claim for that: KubeVirt makes it when the VM starts, and waits until it
// has. [kubevirt 1.9.0, pkg/storage/snapshot/source.go Lock: IsErrNoBackendPVC]
Obstacle unmade_state(const kubevirt::VirtualMachine& vm, bool has_instance);

}  // namespace vmbackup::backup
