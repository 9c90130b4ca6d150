// The verbs on stored objects. [kubernetes 1.34, apiserver/pkg/registry/generic/registry/store.go]
#include <charconv>

#include "base/text.hpp"
#include "support/fake_cluster_selector.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

namespace {

std::string query_value(const Request& request, const std::string& key) {
  const auto found = request.query.find(key);
  return found == request.query.end() ? "" : found->second;
}

bool dry_run(const Request& request) {
  return query_value(request, "dryRun") == "All" || request.body.path({"dryRun"}).items().size() == 1;
}
bool strict(const Request& request) { return query_value(request, "fieldValidation") == "Strict"; }

json::Value in_version(json::Value object, const Route& route) {
  object.set("apiVersion", route.kind->api_version(route.version));
  return object;
}

json::Value to_stored(json::Value object, const Kind& kind) {
  object.set("apiVersion", kind.api_version());
  return object;
}

Answer get(const World& world, const Route& route) {
  const json::Value* object = world.store.find(*route.kind, route.ns, route.name);
  if (object == nullptr) return not_found(*route.kind, route.name);
  return good(in_version(*object, route));
}

// Pages go on by name from the version of the first page; what changes in between shows up in a watch from that version.
std::string continue_token(std::int64_t version, const json::Value& last) {
  return base::base64_encode(std::to_string(version) + " " + namespace_of(last) + " " + name_of(last));
}

// What a server makes of a list where only metadata is asked for. [kubernetes 1.34, apiserver/pkg/endpoints/handlers/response.go]
json::Value only_metadata(const json::Value& items, const json::Value& meta) {
  json::Value partial = json::Value::array();
  for (const json::Value& item : items.items()) {
    partial.push_back(
        json::Value::object({{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", item.path({"metadata"})}}));
  }
  return json::Value::object(
      {{"kind", "PartialObjectMetadataList"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", meta}, {"items", partial}});
}

Answer list(World& world, const Request& request, const Route& route) {
  const base::Result<Selector> selector =
      Selector::parse(*route.kind, query_value(request, "labelSelector"), query_value(request, "fieldSelector"));
  if (!selector) return bad_request(selector.error().message());
  std::size_t limit = 0;
  const std::string limit_text = query_value(request, "limit");
  std::from_chars(limit_text.data(), limit_text.data() + limit_text.size(), limit);
  std::int64_t version = world.store.version();
  std::vector<std::string> after;
  if (const std::string token = query_value(request, "continue"); !token.empty()) {
    const base::Result<std::string> text = base::base64_decode(token);
    after = text ? base::split(*text, ' ') : std::vector<std::string>{};
    if (after.size() != 3) return bad_request("continue key is not valid: invalid continue token");
    std::from_chars(after[0].data(), after[0].data() + after[0].size(), version);
    if (version < world.store.compacted()) {
      return expired(
          "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue "
          "parameter.");
    }
  }
  json::Value items = json::Value::array();
  json::Value meta = json::Value::object({{"resourceVersion", std::to_string(version)}});
  const json::Value* last = nullptr;
  std::int64_t remaining = 0;
  for (const json::Value* object : world.store.list(*route.kind, route.ns)) {
    const std::pair<std::string, std::string> key{namespace_of(*object), name_of(*object)};
    if (!after.empty() && key <= std::pair<std::string, std::string>{after[1], after[2]}) continue;
    if (!selector.value().matches(*object)) continue;
    if (limit > 0 && items.items().size() == limit) {
      ++remaining;
      continue;
    }
    json::Value item = in_version(*object, route);
    if (!route.kind->custom) {
      item.erase("apiVersion");
      item.erase("kind");
    }
    items.push_back(std::move(item));
    last = object;
  }
  if (remaining > 0) {
    meta.set("continue", continue_token(version, *last));
    if (selector.value().everything()) meta.set("remainingItemCount", remaining);
  }
  if (request.accept.find("as=PartialObjectMetadataList") != std::string::npos) return good(only_metadata(items, meta));
  return good(json::Value::object({{"apiVersion", route.kind->api_version(route.version)},
                                   {"items", std::move(items)},
                                   {"kind", route.kind->kind + "List"},
                                   {"metadata", meta}}));
}

std::optional<Answer> check_body(const Request& request, const Route& route) {
  const json::Value& body = request.body;
  if (!body.is_object())
    return bad_request("the object provided is unrecognized (must be of type " + route.kind->kind +
                       "): couldn't get version/kind; json parse error");
  const std::string expected = route.kind->api_version(route.version);
  const std::string& api_version = body.path({"apiVersion"}).as_string();
  const std::string& kind_name = body.path({"kind"}).as_string();
  if (kind_name.empty()) return bad_request("Object 'Kind' is missing in 'request body'");
  if (api_version != expected || kind_name != route.kind->kind) {
    return bad_request("the API version in the data (" + api_version + ") does not match the expected API version (" + expected + ")");
  }
  if (!namespace_of(body).empty() && route.kind->namespaced && namespace_of(body) != route.ns) {
    return bad_request("the namespace of the provided object does not match the namespace sent on the request");
  }
  return std::nullopt;
}

std::optional<std::string> bad_name(const std::string& name) {
  bool good_so_far = !name.empty() && name.size() <= 253;
  for (std::size_t i = 0; good_so_far && i < name.size(); ++i) {
    const char c = name[i];
    const bool inner = i > 0 && i + 1 < name.size();
    good_so_far = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (inner && (c == '-' || c == '.'));
  }
  if (good_so_far) return std::nullopt;
  if (name.size() > 253) return "must be no more than 253 characters";
  return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
         "alphanumeric character (e.g. 'example.com', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
}

Answer create(World& world, const Request& request, const Route& route) {
  const Kind& kind = *route.kind;
  if (std::optional<Answer> wrong = check_body(request, route)) return *wrong;
  json::Value object = to_stored(request.body, kind);
  if (kind.namespaced) object["metadata"].set("namespace", route.ns);
  if (kind.namespaced && world.store.find(test::kind("Namespace"), "", route.ns) == nullptr)
    return not_found(test::kind("Namespace"), route.ns);
  const std::string name = name_of(object);
  if (name.empty() && object.path({"metadata", "generateName"}).as_string().empty()) {
    return invalid(kind, "", {{"FieldValueRequired", "Required value: name or generateName is required", "metadata.name"}});
  }
  if (kind.status_subresource) object.erase("status");
  if (std::optional<Answer> refused = admit(world, kind, object, json::Value(), strict(request))) return *refused;
  if (!name.empty() && kind.group != "rbac.authorization.k8s.io") {
    if (const std::optional<std::string> why = bad_name(name)) {
      return invalid(kind, name, {{"FieldValueInvalid", "Invalid value: \"" + name + "\": " + *why, "metadata.name"}});
    }
  }
  if (!name.empty() && world.store.find(kind, route.ns, name) != nullptr) return already_exists(kind, name);
  if (dry_run(request)) return good(in_version(world.store.prepare(kind, object), route), 201);
  return good(in_version(world.store.create(kind, object), route), 201);
}

// Stores a changed object; `changed` carries the resourceVersion that the caller saw, if any.
Answer store_changed(World& world, const Request& request, const Route& route, json::Value changed) {
  const Kind& kind = *route.kind;
  const json::Value current = *world.store.find(kind, route.ns, route.name);
  const std::string& seen = changed.path({"metadata", "resourceVersion"}).as_string();
  if (!seen.empty() && seen != current.path({"metadata", "resourceVersion"}).as_string()) {
    return conflict(kind.resource(), kind.group, kind.plural, route.name,
                    "the object has been modified; please apply your changes to the latest version and try again");
  }
  if (!uid_of(changed).empty() && uid_of(changed) != uid_of(current)) {
    return conflict(kind.resource(), kind.group, kind.plural, route.name,
                    "Precondition failed: UID in precondition: " + uid_of(changed) + ", UID in object meta: " + uid_of(current));
  }
  if (!name_of(changed).empty() && name_of(changed) != route.name) {
    return bad_request("the name of the object (" + name_of(changed) + ") does not match the name on the URL (" + route.name + ")");
  }
  changed = to_stored(std::move(changed), kind);
  changed["metadata"].set("name", route.name);
  if (kind.namespaced) changed["metadata"].set("namespace", route.ns);
  if (route.subresource == "status") {
    json::Value merged = current;
    merged.set("status", changed.path({"status"}));
    changed = std::move(merged);
  } else if (kind.status_subresource) {
    changed.erase("status");
    if (const json::Value* status = current.find("status")) changed.set("status", *status);
  }
  if (std::optional<Answer> refused = admit(world, kind, changed, current, strict(request))) return *refused;
  if (dry_run(request)) return good(in_version(changed, route));
  return good(in_version(world.store.update(kind, std::move(changed)), route));
}

Answer update(World& world, const Request& request, const Route& route) {
  if (std::optional<Answer> wrong = check_body(request, route)) return *wrong;
  if (world.store.find(*route.kind, route.ns, route.name) == nullptr) return not_found(*route.kind, route.name);
  return store_changed(world, request, route, request.body);
}

Answer patch(World& world, const Request& request, const Route& route) {
  const json::Value* found = world.store.find(*route.kind, route.ns, route.name);
  const bool apply = request.content_type.starts_with("application/apply-patch");
  if (found == nullptr && apply) {
    Request as_create = request;
    as_create.body["metadata"].set("name", route.name);
    return create(world, as_create, route);
  }
  if (found == nullptr) return not_found(*route.kind, route.name);
  json::Value changed = *found;
  changed["metadata"].erase("resourceVersion");
  changed["metadata"].erase("uid");
  if (request.content_type.starts_with("application/json-patch")) {
    if (std::optional<Answer> wrong = apply_json_patch(changed, request.body)) return *wrong;
  } else if (request.content_type.starts_with("application/strategic") && route.kind->custom) {
    return failure(415, "UnsupportedMediaType",
                   "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, "
                   "application/merge-patch+json, application/apply-patch+yaml",
                   json::Value::object());
  } else {
    changed = merge_patched(std::move(changed), request.body);
  }
  changed.set("apiVersion", route.kind->api_version());
  return store_changed(world, request, route, std::move(changed));
}

Answer remove(World& world, const Request& request, const Route& route) {
  const Kind& kind = *route.kind;
  const json::Value* found = world.store.find(kind, route.ns, route.name);
  if (found == nullptr) return not_found(kind, route.name);
  const json::Value& wanted = request.body.path({"preconditions", "uid"});
  if (wanted.is_string() && wanted.as_string() != uid_of(*found)) {
    return conflict(kind.resource(), kind.group, kind.plural, route.name,
                    "Precondition failed: UID in precondition: " + wanted.as_string() + ", UID in object meta: " + uid_of(*found));
  }
  const json::Value& version = request.body.path({"preconditions", "resourceVersion"});
  const std::string& current = found->path({"metadata", "resourceVersion"}).as_string();
  if (version.is_string() && version.as_string() != current) {
    return conflict(
        kind.resource(), kind.group, kind.plural, route.name,
        "Precondition failed: ResourceVersion in precondition: " + version.as_string() + ", ResourceVersion in object meta: " + current);
  }
  const json::Value details =
      json::Value::object({{"name", route.name}, {"group", kind.group}, {"kind", kind.plural}, {"uid", uid_of(*found)}});
  if (dry_run(request)) return good(in_version(*found, route));
  if (request.body.path({"propagationPolicy"}).as_string() == "Foreground") {
    world.store.edit(kind, route.ns, route.name, [](json::Value& object) { add_finalizer(object, "foregroundDeletion"); });
  } else if (request.body.path({"propagationPolicy"}).as_string() == "Orphan") {
    world.store.edit(kind, route.ns, route.name, [](json::Value& object) { add_finalizer(object, "orphan"); });
  }
  const json::Value last = world.store.remove(kind, route.ns, route.name);
  if (world.store.find(kind, route.ns, route.name) != nullptr) return good(in_version(last, route));
  json::Value status = status_object(200, "", "", details);
  status.erase("code");
  return good(status);
}

Answer remove_all(World& world, const Request& request, const Route& route) {
  const Answer listed = list(world, request, route);
  if (!listed.ok() || dry_run(request)) return listed;
  for (const json::Value& item : listed.body.path({"items"}).items()) world.store.remove(*route.kind, namespace_of(item), name_of(item));
  return listed;
}

// POST .../serviceaccounts/NAME/token. [kubernetes 1.34, authentication/v1 TokenRequest]
Answer issue_token(World& world, const Request& request, const Route& route) {
  if (world.store.find(*route.kind, route.ns, route.name) == nullptr) return not_found(*route.kind, route.name);
  const std::string token = "sandbox-" + world.store.new_uid();
  world.tokens[token] = {"system:serviceaccount:" + route.ns + ":" + route.name,
                         {"system:serviceaccounts", "system:serviceaccounts:" + route.ns, "system:authenticated"}};
  json::Value answer =
      json::Value::object({{"kind", "TokenRequest"}, {"apiVersion", "authentication.k8s.io/v1"}, {"spec", request.body.path({"spec"})}});
  answer.set("status", json::Value::object({{"token", token}, {"expirationTimestamp", "2099-01-01T00:00:00Z"}}));
  return good(answer, 201);
}

}  // namespace

Answer run_verb(World& world, const Request& request, const Route& route) {
  const bool status = route.subresource == "status" && route.kind->status_subresource;
  if (route.kind->plural == "serviceaccounts" && route.subresource == "token" && route.verb == "create")
    return issue_token(world, request, route);
  if (!world.served(*route.kind) || (!route.subresource.empty() && !status)) return no_such_path();
  if (route.kind->namespaced && route.ns.empty() && route.verb != "list") return no_such_path();
  if (route.verb == "get") return get(world, route);
  if (route.verb == "list") return list(world, request, route);
  if (route.verb == "update") return update(world, request, route);
  if (route.verb == "patch") return patch(world, request, route);
  if (route.verb == "create" && route.name.empty()) return create(world, request, route);
  if (route.verb == "delete" && !status) return remove(world, request, route);
  if (route.verb == "deletecollection") return remove_all(world, request, route);
  return method_not_allowed();
}

}  // namespace vmbackup::test
