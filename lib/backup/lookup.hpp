// Finding things, and saying what may have been meant. Shared by the procedures of this folder.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

// KubeVirt's own default, applied in its code and not written to the object. [kubevirt 1.9.0, api/snapshot/v1beta1/types.go]
inline constexpr const char* k_default_failure_deadline = "5m";

// The version of snapshot.kubevirt.io to use: v1beta1, else v1alpha1. precondition: the cluster does not serve the group.
base::Result<std::string> snapshot_api_version(kube::Client& client, const kube::Call& call, const std::stop_token& stop);

// Of a namespace in which nothing was found: not_found when it is known not to exist, with what may have been meant. Good when it may not
// be looked at, or when `ns` is empty. One request, two where it does not exist.
base::Result<void> check_namespace(kube::Client& client, const std::string& ns, const kube::Call& call, const std::stop_token& stop);

// The names of a kind in a namespace, read once, for as many that were not found. One request, up to three where the namespace is empty (it
// may be the misspelt word); when they fail, nothing is suggested.
class Suggestions {
 public:
  Suggestions(kube::Client& client, const kube::Resource& resource, const std::string& ns, const kube::Call& call,
              const std::stop_token& stop);
  // `error` (a not_found of `name`) in our words, with "did you mean".
  base::Error not_found(const std::string& name, const base::Error& error) const;

 private:
  kube::Resource resource_;
  std::string ns_;
  bool listed_ = false;
  std::vector<std::string> names_;
  std::string hint_for_empty_;
};

// `error` (a not_found) in our words, with "did you mean" from the names in the namespace, as Suggestions.
base::Error not_found_with_suggestion(kube::Client& client, const kube::Resource& resource, const kube::Name& name,
                                      const base::Error& error, const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::backup
