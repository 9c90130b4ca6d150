// HTTP as the rest client needs it. One of the project's four interfaces: CurlTransport is the real one, tests have a scripted one.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/duplex.hpp"

namespace vmbackup::kube {

struct HttpRequest {
  std::string method;  // "GET", "POST", ...
  std::string target;  // path and query below the server's address, already escaped: "/api/v1/namespaces?limit=1"
  std::vector<std::pair<std::string, std::string>> headers;  // Content-Type and the like; credentials are added by the transport's owner
  std::string body;
  std::size_t most_bytes = std::size_t{256} << 20;  // a longer answer is cut off and gives `invalid`
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;                                          // of a stream: empty, unless the status is not 2xx
  // Value of a header by its lower-case name, empty when absent.
  std::string header(std::string_view name) const;
};

// What a stream tells. Called on the transport's own thread: must not block and must not call the transport.
struct StreamSink {
  std::function<void(std::string_view)> data;  // bytes of a 2xx answer as they come
  // Once, last: the response head (and the body where the status is not 2xx), or why there is none or why it broke off.
  std::function<void(base::Result<HttpResponse>)> end;
};

// Owns one running stream; destroying it ends the stream, after which neither function of the sink is called any more.
class StreamHandle {
 public:
  StreamHandle() = default;
  // `doubt`: see below; may be none.
  explicit StreamHandle(std::function<void()> cancel, std::function<void()> doubt = {})
      : cancel_(std::move(cancel)), doubt_(std::move(doubt)) {}
  StreamHandle(StreamHandle&& other) noexcept
      : cancel_(std::exchange(other.cancel_, nullptr)), doubt_(std::exchange(other.doubt_, nullptr)) {}
  StreamHandle& operator=(StreamHandle&& other) noexcept {
    if (this != &other) {
      if (cancel_) cancel_();
      cancel_ = std::exchange(other.cancel_, nullptr);
      doubt_ = std::exchange(other.doubt_, nullptr);
    }
    return *this;
  }
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  ~StreamHandle() {
    if (cancel_) cancel_();
  }
  // Ends the stream because nothing has come of it although something should have: what is asked next is asked over a new connection.
  void doubt() {
    if (doubt_) doubt_();
    *this = StreamHandle();
  }

 private:
  std::function<void()> cancel_;
  std::function<void()> doubt_;
};

// How a server answered a request to change the protocol.
struct Upgrade {
  HttpResponse response;  // status 101, or the refusal with its body
  // After 101: the connection, with what the server has sent after its head. Else null.
  std::shared_ptr<Duplex> bytes;
  // Owns the connection; destroying it closes it.
  StreamHandle connection;
};

// Errors: unavailable (no connection, broken off; the message says which step and which server), timeout, cancelled, invalid (too long, or
// TLS says the server is not the one it should be: code `forbidden` is never used here; TLS failures are `unauthenticated` with a message
// that names name, trust or expiry). Any HTTP status is a good result. Redirects are never followed. Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual base::Result<HttpResponse> send(const HttpRequest& request, const base::Deadline& deadline, std::stop_token stop) = 0;
  virtual StreamHandle stream(const HttpRequest& request, StreamSink sink) = 0;
  // Sends a GET with headers that ask for another protocol, over HTTP/1.1 and a connection of its own. The deadline and `stop` count until
  // the answer has come.
  virtual base::Result<Upgrade> upgrade(const HttpRequest& request, const base::Deadline& deadline, std::stop_token stop) = 0;
};

}  // namespace vmbackup::kube
