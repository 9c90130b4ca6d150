// Connections that leave HTTP. Private to the curl transport.
#pragma once

#include <stop_token>

#include "base/clock.hpp"
#include "kube/curl_transport_handle.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

// As Transport::upgrade, on a connection and a thread of its own, which end with the connection's handle. Needs nothing of the caller
// afterwards. `request` holds only characters that HTTP allows.
base::Result<Upgrade> curl_upgrade(const CurlSettings& settings, const HttpRequest& request, base::Clock& clock,
                                   const base::Deadline& deadline, const std::stop_token& stop);

}  // namespace vmbackup::kube
