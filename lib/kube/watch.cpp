#include "kube/watch.hpp"

namespace vmbackup::kube {

void WatchQueue::push(WatchEvent event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  wakeup_.notify();
}

std::optional<WatchEvent> WatchQueue::pop(base::Clock& clock, const base::Deadline& deadline, const std::stop_token& stop) {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (!events_.empty()) {
        WatchEvent event = std::move(events_.front());
        events_.pop_front();
        return event;
      }
    }
    // A notification is counted, so one that comes between the look above and this wait is not lost; one of an event that was already
    // taken only costs another look.
    if (clock.wait(wakeup_, deadline.when(), stop) != base::WaitEnd::woken) return std::nullopt;
  }
}

WatchHandle& WatchHandle::operator=(WatchHandle&& other) noexcept {
  if (this != &other) {
    if (cancel_) cancel_();
    cancel_ = std::exchange(other.cancel_, nullptr);
    doubt_ = std::exchange(other.doubt_, nullptr);
  }
  return *this;
}

void WatchHandle::doubt() {
  if (doubt_) doubt_();
  *this = WatchHandle();
}

WatchHandle::~WatchHandle() {
  if (cancel_) cancel_();
}

}  // namespace vmbackup::kube
