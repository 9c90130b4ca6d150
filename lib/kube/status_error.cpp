#include "kube/status_error.hpp"

#include <utility>
#include <vector>

#include "base/text.hpp"
#include "kube/rest_client.hpp"

namespace vmbackup::kube {
namespace {

using base::ErrorCode;

ErrorCode code_of(int http_status, const std::string& reason) {
  switch (http_status) {
    case 401:
      return ErrorCode::unauthenticated;
    case 403:
      return ErrorCode::forbidden;
    case 404:
      return ErrorCode::not_found;
    case 409:
      return reason == "AlreadyExists" ? ErrorCode::already_exists : ErrorCode::conflict;
    case 412:
      return ErrorCode::precondition;
    case 408:
    case 410:
    case 429:
      return ErrorCode::unavailable;
    default:
      return http_status >= 500 ? ErrorCode::unavailable : ErrorCode::invalid;
  }
}

// "spec.source: Required value" as kubectl shows them; a cause without a field stands alone.
std::vector<std::string> causes_of(const json::Value& status) {
  std::vector<std::string> causes;
  for (const json::Value& cause : status.path({"details", "causes"}).items()) {
    const std::string& field = cause.path({"field"}).as_string();
    const std::string& message = cause.path({"message"}).as_string();
    const std::string line = field.empty() || message.empty() ? field + message : field + ": " + message;
    if (!line.empty()) causes.push_back(base::printable(line));
  }
  return causes;
}

std::string first_line(const std::string& text) {
  const std::string_view trimmed = base::trim(text);
  return base::printable(base::trim(trimmed.substr(0, trimmed.find('\n'))), 300);
}

}  // namespace

base::Error error_of_status(int http_status, const json::Value& status, const std::string& text, const std::string& what) {
  const bool is_status = status.path({"kind"}).as_string() == "Status";
  const std::string& words = is_status ? status.path({"message"}).as_string() : text;
  std::string reason = is_status ? base::printable(status.path({"reason"}).as_string(), 100) : std::string();
  if (http_status == 410) reason = k_expired;
  std::string message = words.empty() ? "the server answered with status " + std::to_string(http_status) : base::printable(words);
  if (!is_status && !words.empty()) message = "the server answered with status " + std::to_string(http_status) + ": " + message;
  base::Error error(code_of(http_status, reason), what + ": " + message);
  error = error.with_reason(std::move(reason));
  if (!is_status) return error;
  return error.with_causes(causes_of(status));
}

base::Error error_of_response(const HttpResponse& response, const std::string& what) {
  const base::Result<json::Value> body = json::parse(response.body, std::size_t{16} << 20);
  if (body && body->path({"kind"}).as_string() == "Status") return error_of_status(response.status, *body, {}, what);
  if (response.status >= 300 && response.status < 400) {
    return base::Error(ErrorCode::invalid, what + ": the server answered with a redirect to " +
                                               base::printable(response.header("location"), 300) + ", which is not followed");
  }
  return error_of_status(response.status, {}, first_line(response.body), what);
}

}  // namespace vmbackup::kube
