// The parts of a server's address and what follows from them for a connection. Private to the transport; knows nothing of curl.
#pragma once

#include <string>

#include "base/result.hpp"
#include "kube/kubeconfig.hpp"

namespace vmbackup::kube {

struct ServerAddress {
  bool tls = true;
  std::string host;      // as written; an IPv6 address keeps its brackets
  std::string port;      // always filled in
  std::string label;     // "https://10.0.0.1:6443": the server as people know it
  std::string base_url;  // what targets are appended to; names the host that TLS has to verify
  std::string tls_name;  // the name that the certificate has to be for
  // Set only where tls_name is another than the host: the Host header, and where to connect to instead ("::HOST:PORT").
  std::string host_header;
  std::string connect_to;
  std::string proxy;  // empty for none
  // What may be shown of it: "http://10.0.0.1:3128", without user and password; and its host.
  std::string proxy_label;
  std::string proxy_host;
};

// invalid: no http or https address, or a tls-server-name that is no host name.
base::Result<ServerAddress> address_of(const Connection& connection);

}  // namespace vmbackup::kube
