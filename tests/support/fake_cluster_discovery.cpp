// /version, /healthz, and which groups and resources there are. [kubernetes 1.34, apiserver/pkg/endpoints/discovery]
#include <algorithm>

#include "base/text.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

namespace {

struct Group {
  std::string name;
  std::vector<std::string> versions;
};

std::vector<Group> groups(const World& world) {
  std::vector<Group> result;
  for (const Kind& kind : all_kinds()) {
    if (kind.group.empty() || !world.served(kind)) continue;
    if (std::none_of(result.begin(), result.end(), [&](const Group& group) { return group.name == kind.group; })) {
      result.push_back({kind.group, kind.versions});
    }
  }
  result.push_back({"authorization.k8s.io", {"v1"}});
  if (world.options.kubevirt_api) result.push_back({"subresources.kubevirt.io", {"v1", "v1alpha3"}});
  return result;
}

json::Value group_object(const Group& group, bool alone) {
  json::Value versions = json::Value::array();
  for (const std::string& version : group.versions) {
    versions.push_back(json::Value::object({{"groupVersion", group.name + "/" + version}, {"version", version}}));
  }
  json::Value result = alone ? json::Value::object({{"kind", "APIGroup"}, {"apiVersion", "v1"}}) : json::Value::object();
  result.set("name", group.name);
  result.set("versions", versions);
  result.set("preferredVersion", versions.items().front());
  return result;
}

json::Value verbs() { return json::Value::array({"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"}); }

json::Value resource_list(const World& world, const std::string& group, const std::string& version) {
  json::Value resources = json::Value::array();
  for (const Kind& kind : all_kinds()) {
    const bool has_version = std::find(kind.versions.begin(), kind.versions.end(), version) != kind.versions.end();
    if (kind.group != group || !world.served(kind) || !has_version) continue;
    json::Value entry = json::Value::object(
        {{"name", kind.plural}, {"singularName", kind.singular}, {"namespaced", kind.namespaced}, {"kind", kind.kind}, {"verbs", verbs()}});
    json::Value shorts = json::Value::array();
    for (const std::string& word : kind.short_names) shorts.push_back(word);
    if (!kind.short_names.empty()) entry.set("shortNames", shorts);
    resources.push_back(entry);
    if (!kind.status_subresource) continue;
    resources.push_back(json::Value::object({{"name", kind.plural + "/status"},
                                             {"singularName", ""},
                                             {"namespaced", kind.namespaced},
                                             {"kind", kind.kind},
                                             {"verbs", json::Value::array({"get", "patch", "update"})}}));
  }
  if (group == "subresources.kubevirt.io") {
    for (const char* name : {"freeze", "unfreeze", "pause", "unpause", "guestosinfo", "userlist", "filesystemlist"}) {
      resources.push_back(json::Value::object({{"name", std::string("virtualmachineinstances/") + name},
                                               {"singularName", ""},
                                               {"namespaced", true},
                                               {"kind", ""},
                                               {"verbs", nullptr}}));
    }
  }
  const std::string group_version = group.empty() ? version : group + "/" + version;
  return json::Value::object(
      {{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"groupVersion", group_version}, {"resources", resources}});
}

json::Value version_object() {
  return json::Value::object({{"major", "1"},
                              {"minor", "34"},
                              {"emulationMajor", "1"},
                              {"emulationMinor", "34"},
                              {"minCompatibilityMajor", "1"},
                              {"minCompatibilityMinor", "33"},
                              {"gitVersion", "v1.34.2"},
                              {"gitCommit", "sandbox"},
                              {"gitTreeState", "clean"},
                              {"buildDate", "1970-01-01T00:00:00Z"},
                              {"goVersion", "go1.24.0"},
                              {"compiler", "gc"},
                              {"platform", "linux/amd64"}});
}

std::optional<Answer> group_or_list(const World& world, const std::vector<std::string>& parts) {
  for (const Group& group : groups(world)) {
    if (group.name != parts[2]) continue;
    if (parts.size() == 3) return good(group_object(group, true));
    if (std::find(group.versions.begin(), group.versions.end(), parts[3]) == group.versions.end()) break;
    return good(resource_list(world, group.name, parts[3]));
  }
  return std::nullopt;
}

}  // namespace

std::optional<Answer> discovery(const World& world, const Request& request) {
  if (request.method != "GET") return std::nullopt;
  std::string path = request.path;
  if (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path == "/version") return good(version_object());
  if (path == "/healthz" || path == "/livez" || path == "/readyz") return plain_text(200, "ok");
  if (path == "/api") {
    return good(json::Value::object(
        {{"kind", "APIVersions"}, {"versions", json::Value::array({"v1"})}, {"serverAddressByClientCIDRs", json::Value::array()}}));
  }
  if (path == "/api/v1") return good(resource_list(world, "", "v1"));
  if (path == "/apis") {
    json::Value list = json::Value::array();
    for (const Group& group : groups(world)) list.push_back(group_object(group, false));
    return good(json::Value::object({{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", list}}));
  }
  if (world.options.kubevirt_api && path == "/apis/subresources.kubevirt.io/v1/version") {
    return good(json::Value::object({{"gitVersion", "v" + world.options.kubevirt},
                                     {"gitCommit", "sandbox"},
                                     {"gitTreeState", "clean"},
                                     {"buildDate", "1970-01-01T00:00:00Z"},
                                     {"goVersion", "go1.24.0"},
                                     {"compiler", "gc"},
                                     {"platform", "linux/amd64"}}));
  }
  const std::vector<std::string> parts = base::split(path, '/');
  if (parts.size() < 3 || parts.size() > 4 || parts[1] != "apis") return std::nullopt;
  return group_or_list(world, parts);
}

}  // namespace vmbackup::test
