// coordination.k8s.io/v1 Leases, as plain values. Who holds one, and whether its holder lives, is for the caller to judge.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::kube {

Resource leases();

struct Lease {
  Name name;
  std::string uid;
  std::string resource_version;
  std::string holder;                     // spec.holderIdentity; empty: nobody
  base::Duration duration{};              // spec.leaseDurationSeconds
  std::optional<base::WallTime> created;  // metadata.creationTimestamp: the server's clock
  std::optional<base::WallTime> renewed;  // spec.renewTime: the holder's clock
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::pair<std::string, std::string>> annotations;
  std::string owner_name;  // of the first owner reference, empty where there is none
  std::string annotation(const std::string& key) const;
};
// invalid: a field has another type than the API says.
base::Result<Lease> decode_lease(const json::Value& object);

struct Owner {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
};
struct NewLease {
  Name name;
  std::string holder;
  base::Duration duration{};  // whole seconds, at least one
  base::WallTime now{};       // acquireTime and renewTime
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::pair<std::string, std::string>> annotations;
  std::optional<Owner> owner;  // the lease goes with it
};

// already_exists: somebody has it. Else errors as kube::Client.
base::Result<Lease> create_lease(Client& client, const NewLease& lease, const Call& call, const std::stop_token& stop);
base::Result<Lease> get_lease(Client& client, const Name& name, const Call& call, const std::stop_token& stop);
// Writes holder, duration, time and the annotations over the lease as it was seen. conflict: it has changed since.
base::Result<Lease> write_lease(Client& client, const Lease& seen, const NewLease& lease, const Call& call, const std::stop_token& stop);
// Only that very object, with `unchanged` only if it still is as it was seen. precondition: it is not. not_found is no error.
base::Result<void> remove_lease(Client& client, const Lease& lease, const Call& call, const std::stop_token& stop, bool unchanged = false);
// In one namespace, or in all of them where `ns` is empty.
base::Result<std::vector<Lease>> list_leases(Client& client, const std::string& ns, const std::string& label_selector, const Call& call,
                                             const std::stop_token& stop);

}  // namespace vmbackup::kube
