// The loopback server: one thread that polls the listener, the connections, the cluster's timers and the life of its parent.
#pragma once

#include <openssl/ssl.h>

#include <list>
#include <memory>

#include "base/result.hpp"
#include "certificates.hpp"
#include "support/fake_cluster.hpp"
#include "tls_connection.hpp"

namespace vmbackup::sandbox {

class Server {
 public:
  // Listens on a free port of 127.0.0.1. internal: the system or OpenSSL refused.
  static base::Result<std::unique_ptr<Server>> listen(test::FakeCluster& cluster, const Certificates& certificates, bool http2);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }
  // Serves until `parent` (a pidfd, or stdin where `parent_is_input`) says that the parent is gone. `tick` is called in each round, before
  // what is to be sent goes out.
  void run(Front& front, int parent, bool parent_is_input, const std::function<void()>& tick);
  // GOAWAY on every connection.
  void go_away();

 private:
  Server(test::FakeCluster& cluster, int listener, int port, SSL_CTX* context, bool http2);
  void accept_all(Front& front);

  test::FakeCluster& cluster_;
  int listener_;
  int port_;
  SSL_CTX* context_;
  const bool http2_;
  std::list<std::unique_ptr<TlsConnection>> connections_;
};

}  // namespace vmbackup::sandbox
