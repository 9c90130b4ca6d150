#include "backup/names.hpp"

#include "backup/versions.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::ErrorCode;
using base::Result;

Result<std::vector<std::string>> list_names(kube::Client& client, const kube::Resource& resource, const std::string& ns,
                                            const kube::Call& call, const std::stop_token& stop) {
  kube::ListOptions options;
  options.names_only = true;
  const Result<kube::ObjectList> list = client.list(resource, ns, options, call, stop);
  if (!list) return list.error();
  std::vector<std::string> names;
  for (const json::Value& object : list->items) names.push_back(object.path({"metadata", "name"}).as_string());
  return names;
}

}  // namespace

Result<std::vector<std::string>> names_of(kube::Client& client, NamedKind kind, const std::string& ns, const base::Deadline& deadline,
                                          const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline, .repeat = false};
  if (kind == NamedKind::ns) return list_names(client, kubevirt::namespaces(), "", call, stop);
  if (kind == NamedKind::virtual_machine) return list_names(client, kubevirt::virtual_machines(), ns, call, stop);
  // No question about versions first: the best one is nearly always there, and time is short.
  Result<std::vector<std::string>> names = base::Error(ErrorCode::not_found, "no version is known");
  for (const std::string& version : known_versions(kubevirt::k_snapshot_group)) {
    names = list_names(client, kubevirt::vm_snapshots(version), ns, call, stop);
    if (names || names.error().code() != ErrorCode::not_found) return names;
  }
  return names;
}

}  // namespace vmbackup::backup
