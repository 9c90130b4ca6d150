#include "backup/snapshot_users.hpp"

#include <algorithm>
#include <optional>

#include "kubevirt/resources.hpp"
#include "kubevirt/snapshot_user.hpp"

namespace vmbackup::backup {

namespace {

using base::ErrorCode;
using base::Result;
using Decode = Result<kubevirt::SnapshotUser> (*)(const json::Value&);

struct UserKind {
  kube::Resource resource;
  Decode decode;
  const char* state;  // said of one that is not finished
};

// The best served version; none: the cluster has no such group.
Result<std::optional<std::string>> version_of(kube::Client& client, const char* group, const kube::Call& call,
                                              const std::stop_token& stop) {
  const Result<std::vector<std::string>> served = client.served_versions(group, call, stop);
  if (!served.ok() && served.error().code() == ErrorCode::not_found) return std::optional<std::string>();
  if (!served.ok()) return served.error();
  for (const char* version : {"v1", "v1beta1", "v1alpha1"}) {
    if (std::find(served->begin(), served->end(), version) != served->end()) return std::optional<std::string>(version);
  }
  return std::optional<std::string>(served->front());
}

Result<void> add_users(kube::Client& client, const UserKind& kind, const std::string& ns, const kube::Call& call,
                       const std::stop_token& stop, SnapshotUsers& users) {
  const Result<kube::ObjectList> list = client.list(kind.resource, ns, kube::ListOptions{}, call, stop);
  if (!list.ok()) {
    if (list.error().code() == ErrorCode::not_found) return {};
    if (list.error().code() != ErrorCode::forbidden) return list.error();
    users.unreadable.push_back(kind.resource.kind + "s may not be read: " + list.error().message());
    return {};
  }
  for (const json::Value& object : list->items) {
    const Result<kubevirt::SnapshotUser> user = kind.decode(object);
    if (!user.ok()) return user.error();
    if (user->snapshot.empty() || user->finished) continue;
    users.by_snapshot[{user->ns, user->snapshot}].push_back(kubevirt::describe(kind.resource, {user->ns, user->name}) + ", " + kind.state);
  }
  return {};
}

}  // namespace

Result<SnapshotUsers> find_snapshot_users(kube::Client& client, const std::string& snapshot_version, const std::string& ns,
                                          const kube::Call& call, const std::stop_token& stop) {
  const Result<std::optional<std::string>> exports = version_of(client, kubevirt::k_export_group, call, stop);
  if (!exports.ok()) return exports.error();
  const Result<std::optional<std::string>> clones = version_of(client, kubevirt::k_clone_group, call, stop);
  if (!clones.ok()) return clones.error();
  std::vector<UserKind> kinds = {{kubevirt::vm_restores(snapshot_version), kubevirt::decode_vm_restore, "not complete"}};
  if (*exports) kinds.push_back({kubevirt::vm_exports(**exports), kubevirt::decode_vm_export, "not terminated"});
  if (*clones) kinds.push_back({kubevirt::vm_clones(**clones), kubevirt::decode_vm_clone, "not finished"});
  SnapshotUsers users;
  for (const UserKind& kind : kinds) {
    if (Result<void> added = add_users(client, kind, ns, call, stop, users); !added.ok()) return added.error();
  }
  return users;
}

}  // namespace vmbackup::backup
