// Answers of the API server, failures in the words of a real one. [kubernetes 1.34, apimachinery/pkg/api/errors/errors.go]
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "json/value.hpp"
#include "support/fake_cluster_kinds.hpp"

namespace vmbackup::test {

struct Answer {
  // What happens to the connection instead of, or after, the answer.
  enum class Break { none, hang, reset, lose, half, go_away };
  int status = 200;
  json::Value body;                 // null: an empty body, unless `text`
  std::optional<std::string> text;  // a body that is not JSON
  std::vector<std::pair<std::string, std::string>> headers;
  Break broken = Break::none;
  bool ok() const { return status >= 200 && status < 300; }
};

struct Cause {
  std::string reason;  // "FieldValueInvalid", ...
  std::string message;
  std::string field;
};

Answer good(json::Value body, int status = 200);
Answer plain_text(int status, std::string text);
// A metav1.Status; no details where `resource` (or its name) is empty.
Answer failure(int code, std::string reason, std::string message, json::Value details = {});
json::Value status_object(int code, const std::string& reason, const std::string& message, const json::Value& details = {});

Answer unauthorized();
Answer forbidden(const std::string& user, const std::string& verb, const std::string& group, const std::string& plural,
                 const std::string& subresource, const std::string& ns, const std::string& name);
Answer forbidden_path(const std::string& user, const std::string& verb, const std::string& path);
Answer not_found(const Kind& kind, const std::string& name);
Answer no_such_path();  // "404 page not found"
Answer already_exists(const Kind& kind, const std::string& name);
// `what`: "the object has been modified; ...", "Precondition failed: ..."
Answer conflict(const std::string& resource, const std::string& group, const std::string& kind, const std::string& name,
                const std::string& what);
Answer bad_request(const std::string& message);
Answer invalid(const Kind& kind, const std::string& name, const std::vector<Cause>& causes);
Answer webhook_denied(const std::string& webhook, const std::string& message);         // 400, no reason
Answer webhook_invalid(const std::string& webhook, const std::vector<Cause>& causes);  // 422 with causes
Answer method_not_allowed();
Answer internal_error(const std::string& message);
Answer expired(const std::string& message);
Answer too_many(int retry_after);

}  // namespace vmbackup::test
