// Which proxy the environment wants for a server, read as Go reads it. Knows no environment by itself.
#pragma once

#include <string>
#include <vector>

namespace vmbackup::kube {

// HTTPS_PROXY or HTTP_PROXY by the server's scheme (lower case where that is unset), unless NO_PROXY or being on this machine speaks
// against it. `variables` are lines "NAME=value". Empty: no proxy. [golang.org/x/net/http/httpproxy/proxy.go]
std::string proxy_of_environment(const std::string& server, const std::vector<std::string>& variables);

}  // namespace vmbackup::kube
