// Who may do what: Role, ClusterRole and their bindings. [kubernetes 1.34, plugin/pkg/auth/authorizer/rbac]
#include <algorithm>

#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

namespace {

bool lists(const json::Value& rule, const char* key, const std::string& word) {
  const json::Array& items = rule.path({key}).items();
  return std::any_of(items.begin(), items.end(),
                     [&](const json::Value& item) { return item.as_string() == "*" || item.as_string() == word; });
}

bool rule_allows(const json::Value& rule, const Route& what) {
  const std::string resource = what.subresource.empty() ? what.plural : what.plural + "/" + what.subresource;
  if (!lists(rule, "verbs", what.verb) || !lists(rule, "apiGroups", what.group) || !lists(rule, "resources", resource)) return false;
  return rule.path({"resourceNames"}).items().empty() || (!what.name.empty() && lists(rule, "resourceNames", what.name));
}

bool role_allows(const World& world, const json::Value& binding, const Route& what) {
  const std::string& name = binding.path({"roleRef", "name"}).as_string();
  const bool cluster = binding.path({"roleRef", "kind"}).as_string() == "ClusterRole";
  const json::Value* role = world.store.find(kind(cluster ? "ClusterRole" : "Role"), cluster ? "" : namespace_of(binding), name);
  if (role == nullptr) return false;
  const json::Array& rules = role->path({"rules"}).items();
  return std::any_of(rules.begin(), rules.end(), [&](const json::Value& rule) { return rule_allows(rule, what); });
}

bool binds(const json::Value& binding, const Request& who) {
  const json::Array& subjects = binding.path({"subjects"}).items();
  return std::any_of(subjects.begin(), subjects.end(), [&](const json::Value& subject) {
    const std::string& type = subject.path({"kind"}).as_string();
    const std::string& name = subject.path({"name"}).as_string();
    if (type == "User") return name == *who.user;
    if (type == "ServiceAccount") {
      // Without a namespace it is that of the binding.
      const std::string& named = subject.path({"namespace"}).as_string();
      const std::string& ns = named.empty() ? binding.path({"metadata", "namespace"}).as_string() : named;
      return "system:serviceaccount:" + ns + ":" + name == *who.user;
    }
    return type == "Group" && std::find(who.groups.begin(), who.groups.end(), name) != who.groups.end();
  });
}

}  // namespace

bool allowed(const World& world, const Request& who, const Route& what) {
  if (std::find(who.groups.begin(), who.groups.end(), "system:masters") != who.groups.end()) return true;
  if (what.group == "authorization.k8s.io") return true;
  for (const json::Value* binding : world.store.list(kind("ClusterRoleBinding"))) {
    if (binds(*binding, who) && role_allows(world, *binding, what)) return true;
  }
  if (what.ns.empty()) return false;
  for (const json::Value* binding : world.store.list(kind("RoleBinding"), what.ns)) {
    if (binds(*binding, who) && role_allows(world, *binding, what)) return true;
  }
  return false;
}

Answer review_access(const World& world, const Request& request) {
  const json::Value& asked = request.body.path({"spec", "resourceAttributes"});
  Route route;
  route.group = asked.path({"group"}).as_string();
  route.plural = asked.path({"resource"}).as_string();
  route.subresource = asked.path({"subresource"}).as_string();
  route.ns = asked.path({"namespace"}).as_string();
  route.name = asked.path({"name"}).as_string();
  route.verb = asked.path({"verb"}).as_string();
  json::Value answer = json::Value::object(
      {{"kind", "SelfSubjectAccessReview"}, {"apiVersion", "authorization.k8s.io/v1"}, {"metadata", json::Value::object()}});
  answer.set("spec", request.body.path({"spec"}));
  answer.set("status", json::Value::object({{"allowed", allowed(world, request, route)}}));
  return good(answer, 201);
}

}  // namespace vmbackup::test
