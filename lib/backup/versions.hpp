// What is at work in a cluster, and which APIs of it we would use.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

struct ComponentVersion {
  std::optional<bool> installed;       // none: not known
  std::string version;                 // empty: not known
  std::optional<base::Error> error{};  // why something is not known
};

// One API that this tool speaks.
struct ApiUse {
  std::string group;
  std::vector<std::string> served;  // preferred by the server first; empty: not served
  std::string used;                 // the version that we would use; empty: none of those served is known to us
};

struct ClusterVersions {
  ComponentVersion server;
  ComponentVersion kubevirt;
  ComponentVersion cdi;
  std::vector<ApiUse> apis{};  // empty when they cannot be found out
  std::optional<base::Error> apis_error{};
  // Nothing at all could be read; the first error is the reason.
  bool nothing() const;
};

// Asks for each part; one that cannot be read leaves its error and the others stand. A server that does not answer, or knows us not, is
// asked once only: then all parts hold that error. Never fails as a whole.
ClusterVersions read_versions(kube::Client& client, const base::Deadline& deadline, const std::stop_token& stop);

// The versions of an API group that this tool can speak, best first; empty for a group that it does not use.
std::vector<std::string> known_versions(const std::string& group);

}  // namespace vmbackup::backup
