// Who we are, request by request: credentials that age are renewed under way.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/exec_credential.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

// What one request is signed with.
struct Signature {
  std::uint64_t generation = 0;  // grows with every renewal
  Secret token;
  std::string certificate_pem;
  Secret key_pem;
};

// Token, token file (read again once a minute) or exec plugin (run at first need, at expiry and after a 401). Thread-safe: while one thread
// renews, others wait for it.
class Credentials {
 public:
  // `clock` must outlive it.
  Credentials(Connection connection, ExecSurroundings surroundings, base::Clock& clock);
  // A plugin is ended at the deadline, if its own limit is not sooner. Errors as run_exec_plugin, but for usage in place of unauthenticated
  // at the first run: nothing has been sent so far. A token file that cannot be read any more leaves the last token in place.
  base::Result<Signature> current(const base::Deadline& deadline, const std::stop_token& stop);
  // The server did not accept that generation: the next current() renews. False: there is nothing that could be renewed.
  bool refused(std::uint64_t generation);

 private:
  const Connection connection_;
  const ExecSurroundings surroundings_;
  base::Clock& clock_;
  std::mutex mutex_;
  Signature signature_;
  std::optional<base::WallTime> expires_;
  base::TimePoint read_;
  bool stale_ = false;
};

using MakeTransport = std::function<base::Result<std::unique_ptr<Transport>>(const Connection&)>;

// A transport that adds Authorization and Impersonate-* headers, keeps --request-timeout (of an upgrade: until its answer), asks once more
// with renewed credentials after a 401, and is made anew when a plugin gives another client certificate. A stream that is refused with 401
// ends as unavailable if renewing can help. `make` makes what it stands on; called once here, errors are passed on. `clock` must outlive
// it.
base::Result<std::unique_ptr<Transport>> make_signed_transport(const Connection& connection, ExecSurroundings surroundings,
                                                               MakeTransport make, base::Clock& clock);

// The Impersonate-* headers. Keys of extras are escaped. [client-go/transport/round_trippers.go]
std::vector<std::pair<std::string, std::string>> impersonation_headers(const Impersonation& as);

}  // namespace vmbackup::kube
