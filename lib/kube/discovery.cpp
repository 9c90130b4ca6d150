#include "kube/discovery.hpp"

namespace vmbackup::kube {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<std::string> server_version(Client& client, const Call& call, const std::stop_token& stop) {
  const Result<json::Value> answer = client.get_document("/version", call, stop);
  if (!answer) return answer.error();
  const std::string& version = answer->path({"gitVersion"}).as_string();
  if (version.empty()) return Error(ErrorCode::invalid, "get /version: the answer holds no gitVersion");
  return version;
}

Result<std::vector<ApiGroup>> served_groups(Client& client, const Call& call, const std::stop_token& stop) {
  const Result<json::Value> answer = client.get_document("/apis", call, stop);
  if (!answer) return answer.error();
  std::vector<ApiGroup> groups;
  for (const json::Value& group : answer->path({"groups"}).items()) {
    const std::string& name = group.path({"name"}).as_string();
    if (!name.empty()) groups.push_back({name, versions_of(group)});
  }
  return groups;
}

std::vector<std::string> versions_of(const json::Value& group) {
  std::vector<std::string> versions;
  const std::string& preferred = group.path({"preferredVersion", "version"}).as_string();
  if (!preferred.empty()) versions.push_back(preferred);
  for (const json::Value& item : group.path({"versions"}).items()) {
    // The core group lists plain words, all others objects.
    const std::string& version = item.is_string() ? item.as_string() : item.path({"version"}).as_string();
    if (!version.empty() && version != preferred) versions.push_back(version);
  }
  return versions;
}

}  // namespace vmbackup::kube
