// HTTP on one connection, above TLS: bytes in, bytes out. HTTP/2 by nghttp2, HTTP/1.1 by hand.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "front.hpp"

namespace vmbackup::sandbox {

// The server's thread only. Destroying it lets go of all its requests.
class HttpSession {
 public:
  virtual ~HttpSession() = default;
  // False: the peer does not speak HTTP; close.
  virtual bool take(std::string_view bytes) = 0;
  // Appends what is to be sent now.
  virtual void fill(std::string& out) = 0;
  // Nothing more will come: close when everything is sent.
  virtual bool over() const = 0;
  // No further requests, please; the running ones go on.
  virtual void go_away() = 0;
};

// Both outlived by `front`.
std::unique_ptr<HttpSession> make_http2_session(Front& front, Identity identity);
std::unique_ptr<HttpSession> make_http1_session(Front& front, Identity identity);

}  // namespace vmbackup::sandbox
