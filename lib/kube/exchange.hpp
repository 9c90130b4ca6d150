// One request on its way and what has come back of its answer so far. Private to the transport; knows nothing of curl.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "kube/transport.hpp"

namespace vmbackup::kube {

// Two sides: the transport's thread feeds it, another thread waits for it, takes the result or gives it up.
class Exchange {
 public:
  explicit Exchange(HttpRequest request);          // answered through take()
  Exchange(HttpRequest request, StreamSink sink);  // answered through the sink

  const HttpRequest& request() const { return request_; }
  bool is_stream() const { return stream_; }

  // The transport's thread only.

  // One line of the head, with or without its line end. A new status line forgets the head before it (100 Continue). False: head too long.
  bool take_head_line(std::string_view line);
  // Bytes of the body, unpacked. False: longer than the request allows.
  bool take_body(std::string_view bytes);
  bool answered() const { return answered_; }  // a final head has come whole
  bool too_long() const { return too_long_; }
  int http_major() const { return http_major_; }  // 1 or 2, of the last status line
  // Hands over the answer, or `failure`. Once, last.
  void finish(std::optional<base::Error> failure);

  // Any thread.

  // Nobody is interested any more. When this returns, no function of the sink is running (unless it is the caller) and none will be called.
  void give_up();
  // The answer, once it has come.
  std::optional<base::Result<HttpResponse>> take();
  // Notified when the answer has come.
  base::Wakeup& wakeup() { return wakeup_; }

 private:
  const HttpRequest request_;
  const bool stream_;

  HttpResponse response_;
  std::size_t head_bytes_ = 0;
  int http_major_ = 0;
  bool answered_ = false;
  bool too_long_ = false;

  // Recursive: a sink may drop the handle of its own stream.
  std::recursive_mutex mutex_;
  StreamSink sink_;
  bool given_up_ = false;
  std::optional<base::Result<HttpResponse>> result_;
  base::Wakeup wakeup_;
};

}  // namespace vmbackup::kube
