#include "kubevirt/velero.hpp"

#include <algorithm>

namespace vmbackup::kubevirt {
namespace {

using base::Result;

// The phases in which items, and so their hooks, are worked on.
bool at_work(const std::string& phase) { return phase == "InProgress" || phase == "WaitingForPluginOperations" || phase == "Finalizing"; }

bool contains(const json::Value& list, const std::string& word) {
  const json::Array& items = list.items();
  return std::any_of(items.begin(), items.end(),
                     [&](const json::Value& item) { return item.as_string() == word || item.as_string() == "*"; });
}

// No list of included namespaces means all.
bool takes_in(const json::Value& backup, const std::string& ns) {
  const json::Value& included = backup.path({"spec", "includedNamespaces"});
  return (included.items().empty() || contains(included, ns)) && !contains(backup.path({"spec", "excludedNamespaces"}), ns);
}

}  // namespace

Result<std::vector<std::string>> velero_backups_of(kube::Client& client, const std::vector<std::string>& namespaces, const kube::Call& call,
                                                   const std::stop_token& stop) {
  const kube::Resource backups{"velero.io", "v1", "backups", "Backup", true};
  const Result<kube::ObjectList> list = client.list(backups, {}, {}, call, stop);
  if (!list) return list.error();
  std::vector<std::string> found;
  for (const json::Value& backup : list->items) {
    if (!at_work(backup.path({"status", "phase"}).as_string())) continue;
    const bool ours = std::any_of(namespaces.begin(), namespaces.end(), [&](const std::string& ns) { return takes_in(backup, ns); });
    const json::Value& metadata = backup.path({"metadata"});
    if (ours) found.push_back(metadata.path({"namespace"}).as_string() + "/" + metadata.path({"name"}).as_string());
  }
  return found;
}

Result<bool> has_velero_hooks(kube::Client& client, const kube::Name& pod, const kube::Call& call, const std::stop_token& stop) {
  const Result<json::Value> object = client.get(kube::Resource{"", "v1", "pods", "Pod", true}, pod, call, stop);
  if (!object) return object.error();
  for (const char* key : {"pre.hook.backup.velero.io/command", "post.hook.backup.velero.io/command"}) {
    if (!object->path({"metadata", "annotations", key}).is_null()) return true;
  }
  return false;
}

}  // namespace vmbackup::kubevirt
