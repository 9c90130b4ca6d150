// What stands between HTTP and the cluster: who asks, what is asked, what goes into the request log, and the control calls of scripts.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hooks.hpp"
#include "response.hpp"
#include "support/fake_cluster.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::sandbox {

// Who the TLS client certificate says is there.
struct Identity {
  bool certificate = false;         // one was shown
  bool valid = false;               // and our CA signed it
  std::string user;                 // CN
  std::vector<std::string> groups;  // O
};

struct Incoming {
  std::string method;
  std::string target;
  Headers headers;
  std::string body;
  std::string protocol;  // "h2", "http/1.1"
  std::string header(std::string_view name) const;
};

// The server's thread only. Outlives all connections.
class Front {
 public:
  // `control_secret`: what a control call must show. `log` may be null; owned by the caller. `go_away` is called for the control call of
  // that name.
  Front(test::FakeCluster& cluster, std::string control_secret, std::FILE* log, std::function<void()> go_away);

  // Answers through `response`, now or later. The function that comes back must be called when the requester is no longer there.
  std::function<void()> handle(const Incoming& incoming, const Identity& identity, const std::shared_ptr<Response>& response);
  // After each round of the server: what the hooks are waiting for may have come.
  void tick() { hooks_.check(); }

 private:
  struct Running;
  void serve_cluster(const Incoming& incoming, test::Request request, const std::shared_ptr<Running>& running);
  void allow_upgrade(const std::shared_ptr<Running>& running, test::Exchange& exchange);
  void control(const Incoming& incoming, const test::Request& request, const std::shared_ptr<Response>& response);
  json::Value control_answer(const std::string& verb, const test::Request& request, std::string& error);
  void write_log(const Running& running, int status);
  void authenticate(const Incoming& incoming, const Identity& identity, test::Request& request) const;

  test::FakeCluster& cluster_;
  const std::string control_secret_;
  std::FILE* log_;
  std::function<void()> go_away_;
  Hooks hooks_;
};

}  // namespace vmbackup::sandbox
