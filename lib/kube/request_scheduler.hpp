// Which request may start next. Private to the transport; knows nothing of curl.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "kube/exchange.hpp"

namespace vmbackup::kube {

// First come, first served, with two rules. At most `most` requests run at a time; streams do not count, since they never end. And
// until the server has answered once ("cold"), only one request and one stream are on their way: before its first answer curl does not
// know how many streams the server allows, and a burst may then hang. Not thread-safe.
class RequestScheduler {
 public:
  explicit RequestScheduler(std::size_t most) : most_(most) {}

  void add(std::shared_ptr<Exchange> exchange);
  // The next one that may start, from now on counted as running; null when none may.
  std::shared_ptr<Exchange> next();
  // Takes back one that has not started. False: it is not waiting.
  bool drop(const Exchange& exchange);
  // All that have not started, in order; none is left.
  std::deque<std::shared_ptr<Exchange>> drain();
  // A running one came to its end.
  void ended(const Exchange& exchange);

  void answered();
  void lost() { cold_ = true; }
  bool cold() const { return cold_; }
  void set_most(std::size_t most) { most_ = most; }

 private:
  bool may_start(const Exchange& exchange) const;

  std::deque<std::shared_ptr<Exchange>> waiting_;
  std::size_t most_;
  std::size_t requests_ = 0;
  // Started while cold and not ended; what was started before may hang on a dead connection and does not count.
  std::vector<const Exchange*> probes_;
  bool cold_ = true;
};

}  // namespace vmbackup::kube
