// One accepted connection: TLS without blocking, and the HTTP session that it agreed on.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "http_session.hpp"

namespace vmbackup::sandbox {

// The server's thread only. Owns the socket.
class TlsConnection {
 public:
  TlsConnection(int socket, SSL_CTX* context, Front& front);
  ~TlsConnection();
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  int socket() const { return socket_; }
  bool wants_write() const { return wants_write_; }
  // Reads what has come. False: the connection has ended.
  bool read();
  // Sends what the session has to say. False: the connection has ended.
  bool write();
  void go_away();

 private:
  bool shake_hands();
  bool failed(int result);

  int socket_;
  SSL* ssl_;
  Front& front_;
  std::unique_ptr<HttpSession> session_;
  std::string out_;
  bool wants_write_ = false;
};

}  // namespace vmbackup::sandbox
