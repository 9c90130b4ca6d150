// metav1.Status, in our terms. [apimachinery/pkg/apis/meta/v1/types.go: Status, StatusReason, StatusDetails, StatusCause]
#pragma once

#include <string>

#include "base/error.hpp"
#include "json/value.hpp"

namespace vmbackup::kube {

// The reason that 410 always has here, whichever word the server chose.
inline constexpr const char* k_expired = "Expired";

// The Error for a failed answer with this HTTP status and a Status object as its body; `what` says what was attempted. The message is
// "WHAT: the server's words", the causes are "field: message". For anything but a Status the message falls back to `text`.
base::Error error_of_status(int http_status, const json::Value& status, const std::string& text, const std::string& what);

}  // namespace vmbackup::kube
