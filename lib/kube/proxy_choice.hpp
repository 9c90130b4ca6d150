// Which proxy the environment wants for a server, read as Go reads it. Knows no environment by itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kube/kubeconfig.hpp"

namespace vmbackup::kube {

// HTTPS_PROXY or HTTP_PROXY by the server's scheme (lower case where that is unset), unless NO_PROXY or being on this machine speaks
// against it. `variables` are lines "NAME=value". Empty: no proxy. [golang.org/x/net/http/httpproxy/proxy.go]
std::string proxy_of_environment(const std::string& server, const std::vector<std::string>& variables);

// The address with its scheme in lower case. invalid: it is none of http, https and socks5, or names no host; the environment may also say
// socks5h, which is the same to Go. The message does not hold the address, since that may hold a password.
base::Result<std::string> checked_proxy(const std::string& proxy, bool of_environment);

// Fills in proxy_url for the server that stands in `connection`. invalid: the environment holds what is no proxy.
std::optional<base::Error> use_proxy_of_environment(const KubeconfigSource& source, Connection& connection);

}  // namespace vmbackup::kube
