// Velero's Backups, as far as they get in our way.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::kubevirt {

// Backups of velero.io/v1 that are at work on one of the namespaces, as "namespace/name". Not found, and nothing else: no Velero here.
// Errors as kube::Client::list. [velero 1.15, pkg/apis/velero/v1/backup_types.go]
base::Result<std::vector<std::string>> velero_backups_of(kube::Client& client, const std::vector<std::string>& namespaces,
                                                         const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::kubevirt
