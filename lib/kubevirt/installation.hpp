// KubeVirt and CDI as they are installed: which version is at work.
#pragma once

#include <stop_token>
#include <string>

#include "kube/client.hpp"

namespace vmbackup::kubevirt {

// What a KubeVirt or CDI object says of the version that its operator sees at work; empty while that is not known.
// [kubevirt 1.9.0, api/core/v1/types.go: observedKubeVirtVersion; controller-lifecycle-operator-sdk, api/types.go: observedVersion]
// invalid: not such an object.
base::Result<std::string> observed_kubevirt_version(const json::Value& object);
base::Result<std::string> observed_cdi_version(const json::Value& object);

// What virt-api answers for itself. Every user who has signed in may ask (ClusterRole kubevirt.io:default), as for the objects above of
// KubeVirt. [kubevirt 1.9.0, pkg/virt-api/api.go, pkg/virt-operator/resource/generate/rbac/cluster.go]
// Errors as kube::Client; invalid: an answer without a version.
base::Result<std::string> virt_api_version(kube::Client& client, const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::kubevirt
