#include "kube/request_scheduler.hpp"

#include <algorithm>
#include <utility>

namespace vmbackup::kube {

void RequestScheduler::add(std::shared_ptr<Exchange> exchange) { waiting_.push_back(std::move(exchange)); }

bool RequestScheduler::may_start(const Exchange& exchange) const {
  if (!exchange.is_stream() && requests_ >= most_) return false;
  if (!cold_) return true;
  return std::none_of(probes_.begin(), probes_.end(), [&](const Exchange* probe) { return probe->is_stream() == exchange.is_stream(); });
}

std::shared_ptr<Exchange> RequestScheduler::next() {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [this](const auto& exchange) { return may_start(*exchange); });
  if (found == waiting_.end()) return nullptr;
  std::shared_ptr<Exchange> exchange = std::move(*found);
  waiting_.erase(found);
  if (!exchange->is_stream()) ++requests_;
  if (cold_) probes_.push_back(exchange.get());
  return exchange;
}

bool RequestScheduler::drop(const Exchange& exchange) {
  return std::erase_if(waiting_, [&](const auto& waiting) { return waiting.get() == &exchange; }) > 0;
}

std::deque<std::shared_ptr<Exchange>> RequestScheduler::drain() { return std::exchange(waiting_, {}); }

void RequestScheduler::ended(const Exchange& exchange) {
  if (!exchange.is_stream()) --requests_;
  std::erase(probes_, &exchange);
}

void RequestScheduler::answered() {
  cold_ = false;
  probes_.clear();
}

}  // namespace vmbackup::kube
