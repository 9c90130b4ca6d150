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

// Whether a Velero backup runs hooks in this pod (KubeVirt gives every virt-launcher pod such annotations, which freeze and thaw). Errors
// as kube::Client::get. [velero 1.15, internal/hook/item_hook_handler.go; kubevirt 1.9.0, pkg/virt-controller/services/template.go]
base::Result<bool> has_velero_hooks(kube::Client& client, const kube::Name& pod, const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::kubevirt
