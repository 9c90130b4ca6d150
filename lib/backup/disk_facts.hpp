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
};

struct ClaimFacts {
  enum class State { unknown, missing, present };  // unknown: claims may not be read
  State state = State::unknown;
  bool deleting = false;
  bool bound = false;
  std::string data_volume;        // that fills it, or empty
  std::optional<bool> populated;  // by it; none: DataVolumes may not be read
  std::string storage_class;      // empty: none
  std::string volume_mode;
  std::optional<ClassPick> pick;                      // none: the claim or the classes may not be read
  std::optional<std::vector<std::string>> instances;  // not ended, that have it among their volumes; by name. None: may not be read
  std::optional<std::vector<PodUse>> pods;            // not Succeeded, that have it; by name. None: may not be read
};

struct DiskFacts {
  std::map<kube::Name, ClaimFacts> claims;  // of all volumes of the VMs that have one
  std::vector<std::string> unknown;         // what may not be read and what is therefore not known; one sentence each
  // An empty one where the claim is none of those asked for.
  ClaimFacts of(const std::string& ns, const std::string& claim) const;
};

// At most one list per kind and namespace (claims, pods, instances; DataVolumes where one owns a claim), and one each of the three kinds of
// classes. What is forbidden is left unknown; a kind that the server does not have has no objects. Changes nothing. Errors: any other one
// of kube::Client, named.
base::Result<DiskFacts> read_disk_facts(kube::Client& client, const std::vector<kubevirt::VirtualMachine>& vms, const kube::Call& call,
                                        const std::stop_token& stop);

// Why KubeVirt would not begin with a snapshot of the VM because of this claim, also where it would leave the disk out; one clause each,
// empty where nothing is known to be in the way. It waits for each until the snapshot's deadline. A pod counts where the VM has no
// instance. [kubevirt 1.9.0, pkg/storage/snapshot/source.go: Lock, verifyVolumes; pkg/virt-controller/watch/util: PodsUsingPVCs]
std::vector<std::string> obstacles(const std::string& claim, const ClaimFacts& facts, bool has_instance);

// Other VMs' instances that have the claim, by name.
std::vector<std::string> other_instances(const ClaimFacts& facts, const std::string& vm);

}  // namespace vmbackup::backup
