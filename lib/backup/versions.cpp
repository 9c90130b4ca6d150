#include "backup/versions.hpp"

#include <algorithm>
#include <utility>

#include "kube/discovery.hpp"
#include "kubevirt/installation.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

struct KnownApi {
  const char* group;
  std::vector<std::string> versions;  // best first
};

const std::vector<KnownApi>& known_apis() {
  static const std::vector<KnownApi> apis = {
      {kubevirt::k_core_group, {"v1"}},
      {kubevirt::k_subresources_group, {"v1"}},
      {kubevirt::k_snapshot_group, {"v1beta1", "v1alpha1"}},
      {kubevirt::k_volume_snapshot_group, {"v1"}},
  };
  return apis;
}

// No other question would be answered either.
bool cut_off(const Error& error) {
  return error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout || error.code() == ErrorCode::cancelled ||
         error.code() == ErrorCode::unauthenticated || error.code() == ErrorCode::internal;
}

std::string first_known(const KnownApi& api, const std::vector<std::string>& served) {
  for (const std::string& version : api.versions) {
    if (std::find(served.begin(), served.end(), version) != served.end()) return version;
  }
  return {};
}

std::vector<ApiUse> uses_of(const std::vector<kube::ApiGroup>& groups) {
  std::vector<ApiUse> uses;
  for (const KnownApi& api : known_apis()) {
    ApiUse use{.group = api.group, .served = {}, .used = {}};
    for (const kube::ApiGroup& group : groups) {
      if (group.name == api.group) use.served = group.versions;
    }
    use.used = first_known(api, use.served);
    uses.push_back(std::move(use));
  }
  return uses;
}

bool serves(const std::vector<kube::ApiGroup>& groups, const char* name) {
  return std::any_of(groups.begin(), groups.end(), [name](const kube::ApiGroup& group) { return group.name == name; });
}

ComponentVersion failed(const Error& error) { return {.installed = std::nullopt, .version = {}, .error = error}; }

using Decode = Result<std::string> (*)(const json::Value&);

// The version that the operator's object tells; not_found: there is no such object, or no such kind.
Result<std::string> version_of_object(kube::Client& client, const kube::Resource& resource, Decode decode, const kube::Call& call,
                                      const std::stop_token& stop) {
  const Result<kube::ObjectList> objects = client.list(resource, "", kube::ListOptions{}, call, stop);
  if (!objects && objects.error().code() != ErrorCode::not_found) return objects.error();
  if (!objects || objects->items.empty()) {
    return Error(ErrorCode::not_found, "the API group " + resource.group + " is served, but there is no " + resource.kind + " object");
  }
  // There can be one only.
  Result<std::string> version = decode(objects->items.front());
  if (version && version->empty()) return Error(ErrorCode::precondition, "the " + resource.kind + " object tells no version yet");
  return version;
}

// The object says what is installed; who may not read it, or finds nothing in it, asks virt-api itself.
ComponentVersion find_kubevirt(kube::Client& client, const kube::Call& call, const std::stop_token& stop) {
  const Result<std::string> told = version_of_object(client, kubevirt::kubevirts(), kubevirt::observed_kubevirt_version, call, stop);
  if (told) return {.installed = true, .version = *told};
  const Result<std::string> answered = kubevirt::virt_api_version(client, call, stop);
  if (answered) return {.installed = true, .version = *answered};
  return failed(told.error());
}

ComponentVersion find_cdi(kube::Client& client, const kube::Call& call, const std::stop_token& stop) {
  const Result<std::string> told = version_of_object(client, kubevirt::cdis(), kubevirt::observed_cdi_version, call, stop);
  if (told) return {.installed = true, .version = *told};
  return failed(told.error());
}

}  // namespace

bool ClusterVersions::nothing() const { return server.error && kubevirt.error && cdi.error && apis_error; }

ClusterVersions read_versions(kube::Client& client, const base::Deadline& deadline, const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  ClusterVersions found;
  const Result<std::string> server = kube::server_version(client, call, stop);
  if (server) {
    found.server = {.installed = true, .version = *server};
  } else {
    found.server = failed(server.error());
    if (cut_off(server.error())) {
      found.kubevirt = found.cdi = found.server;
      found.apis_error = server.error();
      return found;
    }
  }
  const Result<std::vector<kube::ApiGroup>> groups = kube::served_groups(client, call, stop);
  if (!groups) {
    found.apis_error = groups.error();
  } else {
    found.apis = uses_of(*groups);
  }
  const bool ask_kubevirt = !groups || serves(*groups, kubevirt::k_core_group);
  const bool ask_cdi = !groups || serves(*groups, kubevirt::k_cdi_group);
  found.kubevirt = ask_kubevirt ? find_kubevirt(client, call, stop) : ComponentVersion{.installed = false, .version = {}};
  found.cdi = ask_cdi ? find_cdi(client, call, stop) : ComponentVersion{.installed = false, .version = {}};
  return found;
}

std::vector<std::string> known_versions(const std::string& group) {
  for (const KnownApi& api : known_apis()) {
    if (group == api.group) return api.versions;
  }
  return {};
}

}  // namespace vmbackup::backup
