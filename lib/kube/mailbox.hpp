// Where other threads leave word for the transport's thread. Private to the transport; knows nothing of curl.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "kube/exchange.hpp"

namespace vmbackup::kube {

// Thread-safe. Shared by the transport, its thread, and the handles of its streams, which may outlive both.
class Mailbox {
 public:
  struct Dropped {
    std::shared_ptr<Exchange> exchange;
    bool too_slow = false;  // given up because no answer, or nothing more of a stream, came in time, so the connection is in doubt
  };
  struct Mail {
    std::vector<std::shared_ptr<Exchange>> begun;
    std::vector<Dropped> dropped;
    bool closed = false;
  };

  // How to wake the reader; called under the mailbox's lock, never after close_reader().
  void open_reader(std::function<void()> wake);
  void close_reader();

  // False: closed, nothing will become of the exchange.
  bool begin(std::shared_ptr<Exchange> exchange);
  void drop(std::shared_ptr<Exchange> exchange, bool too_slow);
  // No more requests; the reader is to end those it has.
  void close();

  // All that came since the last time.
  Mail collect();

 private:
  std::mutex mutex_;
  std::function<void()> wake_;
  Mail mail_;
};

}  // namespace vmbackup::kube
