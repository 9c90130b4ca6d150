#include "backup/lookup.hpp"

#include <algorithm>
#include <vector>

#include "backup/names.hpp"
#include "backup/versions.hpp"
#include "base/text.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string plural_command(const kube::Resource& resource) {
  return resource.plural == "virtualmachinesnapshots" ? "kubectl vmbackup list" : "kubectl get " + resource.plural;
}

// The namespace itself may be the misspelt word. Who may not look at namespaces is told no more than that it is empty.
std::string hint_for_empty(kube::Client& client, const std::string& ns, const kube::Call& call, const std::stop_token& stop) {
  const Result<void> there = check_namespace(client, ns, call, stop);
  if (there) return "there is none in namespace " + ns + "; name another with -n";
  return there.error().message() + "; " + there.error().hint();
}

}  // namespace

Result<std::string> snapshot_api_version(kube::Client& client, const kube::Call& call, const std::stop_token& stop) {
  const Result<std::vector<std::string>> served = client.served_versions(kubevirt::k_snapshot_group, call, stop);
  if (!served.ok()) {
    if (served.error().code() != ErrorCode::not_found) return served.error();
    return Error(ErrorCode::precondition,
                 "this cluster does not serve the API group snapshot.kubevirt.io: KubeVirt, or its snapshot API, is not installed here",
                 "is it the right cluster? look with: kubectl config current-context");
  }
  const std::vector<std::string> known = known_versions(kubevirt::k_snapshot_group);
  for (const std::string& version : known) {
    if (std::find(served->begin(), served->end(), version) != served->end()) return version;
  }
  return Error(ErrorCode::precondition, "this cluster serves snapshot.kubevirt.io only as " + base::join(*served, ", ") +
                                            "; this tool knows " + base::join(known, " and "));
}

Result<void> check_namespace(kube::Client& client, const std::string& ns, const kube::Call& call, const std::stop_token& stop) {
  if (ns.empty()) return {};
  const Result<json::Value> found = client.get(kubevirt::namespaces(), {"", ns}, call, stop);
  if (found || found.error().code() != ErrorCode::not_found) return {};
  const Result<std::vector<std::string>> names = names_of(client, NamedKind::ns, "", call.deadline, stop);
  const std::optional<std::string> near = names ? base::nearest(ns, *names) : std::nullopt;
  return Error(ErrorCode::not_found, "namespace " + ns + " does not exist",
               near ? "did you mean -n " + *near + "?" : "list them with: kubectl get namespaces");
}

Suggestions::Suggestions(kube::Client& client, const kube::Resource& resource, const std::string& ns, const kube::Call& call,
                         const std::stop_token& stop)
    : resource_(resource), ns_(ns) {
  const kube::ListSink sink{.begin = [this] { names_.clear(); },
                            .take = [this](const json::Value& object) -> Result<void> {
                              names_.push_back(object.path({"metadata", "name"}).as_string());
                              return {};
                            }};
  listed_ = client.list_each(resource, ns, kube::ListOptions{}, sink, call, stop).ok();
  if (listed_ && names_.empty()) hint_for_empty_ = hint_for_empty(client, ns, call, stop);
}

Error Suggestions::not_found(const std::string& name, const Error& error) const {
  const std::string message = kubevirt::describe(resource_, {ns_, name}) + " not found";
  const std::string list_hint = "list them with: " + plural_command(resource_) + " -n " + ns_;
  if (!listed_) return Error(error.code(), message, list_hint);
  if (names_.empty()) return Error(error.code(), message, hint_for_empty_);
  const std::optional<std::string> near = base::nearest(name, names_);
  return Error(error.code(), message, near ? "did you mean \"" + *near + "\"?" : list_hint);
}

Error not_found_with_suggestion(kube::Client& client, const kube::Resource& resource, const kube::Name& name, const Error& error,
                                const kube::Call& call, const std::stop_token& stop) {
  return Suggestions(client, resource, name.ns, call, stop).not_found(name.name, error);
}

}  // namespace vmbackup::backup
