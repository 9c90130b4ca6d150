// Asking the server what we may do, before we begin.
#pragma once

#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::kube {

struct Access {
  std::string verb;  // "get", "create", "update", ...
  std::string group;
  std::string plural;
  std::string subresource;
  std::string ns;  // empty: in all namespaces
};

// Errors as Client::create. Everybody may ask about himself (role system:basic-user).
// [kubernetes 1.34, authorization.k8s.io/v1 SelfSubjectAccessReview]
base::Result<bool> may(Client& client, const Access& access, const Call& call, const std::stop_token& stop);

// "update virtualmachineinstances/freeze in subresources.kubevirt.io".
std::string describe(const Access& access);

}  // namespace vmbackup::kube
