// The cluster around a pod, by its service account. Private to kubeconfig.cpp.
#pragma once

#include "kube/kubeconfig.hpp"

namespace vmbackup::kube {

// True where the environment names the service and a token lies in the service account's folder.
bool in_cluster(const KubeconfigSource& source);

// POD_NAMESPACE, or else the service account's, or else "default".
std::string in_cluster_namespace(const KubeconfigSource& source);

// Server, authority, token file and namespace of the pod; --token, --certificate-authority, --namespace and --as... count over them.
// [client-go/rest/config.go: InClusterConfig; tools/clientcmd/client_config.go: inClusterClientConfig] Errors as load_connection.
base::Result<Connection> in_cluster_connection(const KubeconfigSource& source);

}  // namespace vmbackup::kube
