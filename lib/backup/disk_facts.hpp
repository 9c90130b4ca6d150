// What is known of the disks of some VMs before a snapshot: claims, classes, and who else uses them.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/snapshot_class.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

struct PodUse {
  std::string pod;
  std::string instance;  // whose pod it is, also that of a hot-plugged disk; empty: no instance's
  bool failed = false;
  bool deleting = false;
};

struct ClaimFacts {
  enum class State { unknown, missing, present };  // unknown: claims may not be read
  State state = State::unknown;
  bool deleting = false;
  bool bound = false;
  bool lost = false;
  bool scheduled = false;                        // it is being bound
  std::string data_volume;                       // that fills it, or, while it is missing, that is to make it; or empty
  std::optional<std::string> data_volume_phase;  // of a DataVolume named above or so called; empty: there is none. None: may not be read
  std::string storage_class;                     // empty: none
  std::optional<bool> class_exists;              // none: the classes may not be read
  bool waits_for_consumer = false;               // by its class
  std::string volume_mode;
  std::optional<ClassPick> pick;                      // none: the claim or the classes may not be read
  std::optional<std::vector<std::string>> instances;  // not ended, that have it among their volumes; by name. None: may not be read
  std::optional<std::vector<PodUse>> pods;            // not Succeeded, that have it; by name. None: may not be read
  // By its DataVolume, where it has one; none: not known.
  std::optional<bool> populated() const;
};

struct DiskFacts {
  std::map<kube::Name, ClaimFacts> claims;  // of all volumes of the VMs that have one, and of their persistent states
  // The claims of persistent states, by VM; empty for one that has none yet. Of VMs that keep one, or may by their preference, and only of
  // namespaces in which claims may be read.
  std::map<kube::Name, std::string> states;
  // Of the VMs themselves, those that have ended too; only of namespaces in which a VM has a claim and instances may be listed.
  std::map<std::string, std::map<std::string, kubevirt::VirtualMachineInstance>> instances;
  std::vector<std::string> unknown;  // what may not be read and what is therefore not known; one sentence each
  // An empty one where the claim is none of those asked for.
  ClaimFacts of(const std::string& ns, const std::string& claim) const;
};

// Whether KubeVirt keeps a claim of its own for the VM, by the VM's spec and status.
bool keeps_state(const kubevirt::VirtualMachine& vm);

// At most one list per kind and namespace (claims, pods, instances; DataVolumes where one owns a claim or a claim is missing), and one each
// of the three kinds of classes. What is forbidden is left unknown; a kind that the server does not have has no objects. Changes nothing.
// Errors: any other one of kube::Client, named.
base::Result<DiskFacts> read_disk_facts(kube::Client& client, const std::vector<kubevirt::VirtualMachine>& vms, const kube::Call& call,
                                        const std::stop_token& stop);

// Other VMs' instances that have the claim, by name.
std::vector<std::string> other_instances(const ClaimFacts& facts, const std::string& vm);

}  // namespace vmbackup::backup
