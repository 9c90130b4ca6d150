// kube::Client over HTTP.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kube/client.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

// What is not kept of an object: who set which field is half of its bytes, and nothing here has a use for it.
inline constexpr json::LeftOut k_unread{"metadata", "managedFields"};

// One line per request for -v: method, target, status, time taken. Never headers, never bodies.
using RequestLog = std::function<void(const std::string& line)>;

// Thread-safe. Sends no credentials of its own: the transport signs. `clock` must outlive it.
std::unique_ptr<Client> make_rest_client(std::unique_ptr<Transport> transport, base::Clock& clock, RequestLog log = {});

// The Error for a failed answer: a metav1.Status where the body is one, else the status code and the first printable line of the body.
base::Error error_of_response(const HttpResponse& response, const std::string& what);

}  // namespace vmbackup::kube
