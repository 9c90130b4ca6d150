#include "support/fake_cluster_status.hpp"

namespace vmbackup::test {

namespace {

json::Value details_of(const std::string& group, const std::string& kind, const std::string& name) {
  json::Value details = json::Value::object();
  if (!name.empty()) details.set("name", name);
  if (!group.empty()) details.set("group", group);
  details.set("kind", kind);
  return details;
}

json::Value causes_of(const std::vector<Cause>& causes) {
  json::Value list = json::Value::array();
  for (const Cause& cause : causes) {
    json::Value item = json::Value::object({{"reason", cause.reason}, {"message", cause.message}});
    if (!cause.field.empty()) item.set("field", cause.field);
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace

Answer good(json::Value body, int status) {
  Answer answer;
  answer.status = status;
  answer.body = std::move(body);
  return answer;
}

Answer plain_text(int status, std::string text) {
  Answer answer;
  answer.status = status;
  answer.text = std::move(text);
  return answer;
}

json::Value status_object(int code, const std::string& reason, const std::string& message, const json::Value& details) {
  json::Value status = json::Value::object(
      {{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", json::Value::object()}, {"status", code < 400 ? "Success" : "Failure"}});
  if (!message.empty()) status.set("message", message);
  if (!reason.empty()) status.set("reason", reason);
  if (!details.is_null()) status.set("details", details);
  status.set("code", code);
  return status;
}

Answer failure(int code, std::string reason, std::string message, json::Value details) {
  return good(status_object(code, reason, message, details), code);
}

Answer unauthorized() { return failure(401, "Unauthorized", "Unauthorized"); }

Answer forbidden(const std::string& user, const std::string& verb, const std::string& group, const std::string& plural,
                 const std::string& subresource, const std::string& ns, const std::string& name) {
  const std::string resource = subresource.empty() ? plural : plural + "/" + subresource;
  std::string message = (group.empty() ? plural : plural + "." + group) + (name.empty() ? "" : " \"" + name + "\"") +
                        " is forbidden: User \"" + user + "\" cannot " + verb + " resource \"" + resource + "\" in API group \"" + group +
                        "\"";
  message += ns.empty() ? " at the cluster scope" : " in the namespace \"" + ns + "\"";
  return failure(403, "Forbidden", message, details_of(group, plural, name));
}

Answer forbidden_path(const std::string& user, const std::string& verb, const std::string& path) {
  return failure(403, "Forbidden", "forbidden: User \"" + user + "\" cannot " + verb + " path \"" + path + "\"", json::Value::object());
}

Answer not_found(const Kind& kind, const std::string& name) {
  return failure(404, "NotFound", kind.resource() + " \"" + name + "\" not found", details_of(kind.group, kind.plural, name));
}

Answer no_such_path() { return plain_text(404, "404 page not found\n"); }

Answer already_exists(const Kind& kind, const std::string& name) {
  return failure(409, "AlreadyExists", kind.resource() + " \"" + name + "\" already exists", details_of(kind.group, kind.plural, name));
}

Answer conflict(const std::string& resource, const std::string& group, const std::string& kind, const std::string& name,
                const std::string& what) {
  return failure(409, "Conflict", "Operation cannot be fulfilled on " + resource + " \"" + name + "\": " + what,
                 details_of(group, kind, name));
}

Answer bad_request(const std::string& message) { return failure(400, "BadRequest", message); }

Answer invalid(const Kind& kind, const std::string& name, const std::vector<Cause>& causes) {
  std::string list;
  for (const Cause& cause : causes) {
    if (!list.empty()) list += ", ";
    list += cause.field.empty() ? cause.message : cause.field + ": " + cause.message;
  }
  if (causes.size() > 1) list = "[" + list + "]";
  json::Value details = details_of(kind.group, kind.kind, name);
  details.set("causes", causes_of(causes));
  const std::string type = kind.group.empty() ? kind.kind : kind.kind + "." + kind.group;
  return failure(422, "Invalid", type + " \"" + name + "\" is invalid: " + list, details);
}

Answer webhook_denied(const std::string& webhook, const std::string& message) {
  return failure(400, "", "admission webhook \"" + webhook + "\" denied the request: " + message);
}

Answer webhook_invalid(const std::string& webhook, const std::vector<Cause>& causes) {
  std::string list;
  for (const Cause& cause : causes) list += (list.empty() ? "" : ", ") + cause.message;
  return failure(422, "Invalid", "admission webhook \"" + webhook + "\" denied the request: " + list,
                 json::Value::object({{"causes", causes_of(causes)}}));
}

Answer method_not_allowed() {
  return failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", json::Value::object());
}

Answer internal_error(const std::string& message) {
  return failure(500, "InternalError", "Internal error occurred: " + message,
                 json::Value::object({{"causes", causes_of({{"", message, ""}})}}));
}

Answer expired(const std::string& message) { return failure(410, "Expired", message); }

Answer too_many(int retry_after) {
  Answer answer = plain_text(429, "Too many requests, please try again later.\n");
  if (retry_after >= 0) answer.headers.emplace_back("retry-after", std::to_string(retry_after));
  return answer;
}

}  // namespace vmbackup::test
