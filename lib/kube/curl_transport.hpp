// HTTP/2 over TLS by libcurl: one connection, one thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kube/kubeconfig.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

struct TransportOptions {
  base::Duration connect_timeout = std::chrono::seconds(10);
  base::Duration idle_keepalive = std::chrono::seconds(30);  // TCP keepalive, so that a dead server ends a quiet watch
  std::string user_agent;
};

// The libraries that do the work, as they are at run time: {"libcurl", "8.5.0"}, {"OpenSSL", "3.0.15"}, {"nghttp2", "1.52.0"}, ...
std::vector<std::pair<std::string, std::string>> transport_libraries();

// Starts its thread with the first request and joins it when destroyed (running calls end as cancelled). `clock` must outlive it.
// At most 64 requests in flight, the first one alone until it is answered; HTTP/1.1 where the server or the library wants it.
// invalid: certificate or key that cannot be used.
base::Result<std::unique_ptr<Transport>> make_curl_transport(const Connection& connection, const TransportOptions& options,
                                                             base::Clock& clock);

}  // namespace vmbackup::kube
