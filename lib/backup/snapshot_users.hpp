// What still reads which snapshot, so that none is deleted under it.
#pragma once

#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

struct SnapshotUsers {
  std::map<kube::Name, std::vector<std::string>> by_snapshot;  // "VirtualMachineRestore prod/x, not complete"
  std::vector<std::string> unreadable;                         // kinds that the caller may not list, a sentence each
};

// Three lists of `ns` ("" = all namespaces): restores that are not complete, exports and clones that are not finished. A group that the
// cluster does not serve has no objects. forbidden is no error but stands in `unreadable`: what follows from it, the caller decides
// (`forget`, which nobody watches, keeps everything; `delete` of what a person named goes on and says so).
base::Result<SnapshotUsers> find_snapshot_users(kube::Client& client, const std::string& snapshot_version, const std::string& ns,
                                                const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::backup
