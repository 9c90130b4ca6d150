#include "server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "support/fake_cluster_world.hpp"

namespace vmbackup::sandbox {

namespace {

using base::Error;
using base::ErrorCode;

BIO* memory_of(const std::string& text) { return BIO_new_mem_buf(text.data(), static_cast<int>(text.size())); }

X509* read_certificate(const std::string& pem) {
  BIO* memory = memory_of(pem);
  X509* certificate = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
  BIO_free(memory);
  return certificate;
}

// Client certificates that are not ours are no reason to hang up: they are answered 401.
int accept_any(int, X509_STORE_CTX*) { return 1; }

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered, unsigned int offered_length,
                    void* http2) {
  static const unsigned char k_both[] = "\x02h2\x08http/1.1";
  static const unsigned char k_old[] = "\x08http/1.1";
  const bool both = *static_cast<const bool*>(http2);
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, length, both ? k_both : k_old, both ? sizeof k_both - 1 : sizeof k_old - 1, offered, offered_length);
  *chosen = found;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

SSL_CTX* make_context(const Certificates& certificates) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return nullptr;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  X509* certificate = read_certificate(certificates.server.certificate_pem);
  BIO* memory = memory_of(certificates.server.key_pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(memory, nullptr, nullptr, nullptr);
  BIO_free(memory);
  X509* ca = read_certificate(certificates.ca_pem);
  const bool good = SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1 &&
                    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca) == 1;
  SSL_CTX_add_client_CA(context, ca);
  X509_free(certificate);
  EVP_PKEY_free(key);
  X509_free(ca);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, accept_any);
  if (good) return context;
  SSL_CTX_free(context);
  return nullptr;
}

void make_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

Error refused(const std::string& what) { return Error(ErrorCode::internal, what + ": " + std::strerror(errno)); }

// The parent is gone: its pidfd is readable, or our input has ended.
bool is_gone(const pollfd& entry, bool input) {
  if (entry.revents == 0) return false;
  if (!input) return true;
  char buffer[512];
  const ssize_t count = read(entry.fd, buffer, sizeof buffer);
  return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace

base::Result<std::unique_ptr<Server>> Server::listen(test::FakeCluster& cluster, const Certificates& certificates, bool http2) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) return refused("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener, 512) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    const Error error = refused("listen on 127.0.0.1");
    close(listener);
    return error;
  }
  SSL_CTX* context = make_context(certificates);
  if (context == nullptr) {
    close(listener);
    return Error(ErrorCode::internal, "OpenSSL refuses the server's certificate");
  }
  return std::unique_ptr<Server>(new Server(cluster, listener, ntohs(address.sin_port), context, http2));
}

Server::Server(test::FakeCluster& cluster, int listener, int port, SSL_CTX* context, bool http2)
    : cluster_(cluster), listener_(listener), port_(port), context_(context), http2_(http2) {
  SSL_CTX_set_alpn_select_cb(context_, choose_protocol, const_cast<bool*>(&http2_));
}

Server::~Server() {
  connections_.clear();
  SSL_CTX_free(context_);
  close(listener_);
}

void Server::accept_all(Front& front) {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_.push_back(std::make_unique<TlsConnection>(fd, context_, front));
  }
}

void Server::run(Front& front, int parent, bool parent_is_input, const std::function<void()>& tick) {
  make_nonblocking(parent);
  for (;;) {
    std::vector<pollfd> fds = {{parent, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const auto& connection : connections_) {
      fds.push_back({connection->socket(), static_cast<short>(connection->wants_write() ? POLLIN | POLLOUT : POLLIN), 0});
    }
    timespec pause{};
    const std::optional<base::TimePoint> due = cluster_.next_due();
    if (due) {
      const base::Duration left = std::max(base::Duration::zero(), *due - cluster_.world().clock.now());
      pause = {static_cast<time_t>(left.count() / 1000000000), static_cast<long>(left.count() % 1000000000)};
    }
    if (ppoll(fds.data(), fds.size(), due ? &pause : nullptr, nullptr) < 0 && errno != EINTR) return;
    if (is_gone(fds[0], parent_is_input)) return;
    cluster_.run_due();
    std::size_t index = 2;
    for (auto it = connections_.begin(); it != connections_.end(); ++index) {
      it = fds[index].revents != 0 && !(*it)->read() ? connections_.erase(it) : std::next(it);
    }
    tick();
    // Any of them may have something to say now, whoever moved the world.
    for (auto it = connections_.begin(); it != connections_.end();) it = (*it)->write() ? std::next(it) : connections_.erase(it);
    if (fds[1].revents != 0) accept_all(front);
  }
}

void Server::go_away() {
  for (const auto& connection : connections_) connection->go_away();
}

}  // namespace vmbackup::sandbox
