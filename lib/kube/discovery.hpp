// What a server says of itself: its version and the API groups that it serves.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "kube/client.hpp"

namespace vmbackup::kube {

// "v1.34.2", as kubectl version shows it. [kubernetes 1.34, apimachinery/pkg/version/types.go: Info]
// Errors as Client; invalid: an answer without a version.
base::Result<std::string> server_version(Client& client, const Call& call, const std::stop_token& stop);

struct ApiGroup {
  std::string name;
  std::vector<std::string> versions;  // served ones, preferred first
};
// All groups but the core. [kubernetes 1.34, apimachinery/pkg/apis/meta/v1/types.go: APIGroupList]
base::Result<std::vector<ApiGroup>> served_groups(Client& client, const Call& call, const std::stop_token& stop);

// The served versions that a group object tells of, preferred first.
std::vector<std::string> versions_of(const json::Value& group);

}  // namespace vmbackup::kube
