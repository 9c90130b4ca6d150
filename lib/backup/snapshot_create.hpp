// The create of one planned VirtualMachineSnapshot.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "backup/snapshot.hpp"
#include "base/result.hpp"
#include "kubevirt/vm_snapshot.hpp"

namespace vmbackup::backup {

// A name that is taken is accepted where the object is of this run and VM, and the run was not begun before: then an earlier answer to this
// very create was lost. already_exists: nothing was created; whose it is is said where it is of others. Else what the client says.
base::Result<kubevirt::VmSnapshot> create_snapshot(kube::Client& client, const SnapshotPlan& plan, const kube::Call& call,
                                                   const std::stop_token& stop);

// The one that an earlier part of the same run made; none: there is none. Else as above.
base::Result<std::optional<kubevirt::VmSnapshot>> find_own_snapshot(kube::Client& client, const SnapshotPlan& plan, const kube::Call& call,
                                                                    const std::stop_token& stop);

// A create without an answer may have happened.
bool may_exist(const base::Error& error);

// "kubectl vmbackup show NAME -n NS".
std::string command_for(const char* command, const kubevirt::NewVmSnapshot& snapshot);

}  // namespace vmbackup::backup
