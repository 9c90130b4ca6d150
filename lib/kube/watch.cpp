#include "kube/watch.hpp"

#include "kube/rest_client.hpp"

namespace vmbackup::kube {

namespace {

json::Value object_in(const std::string& line) {
  base::Result<json::Value> event = json::parse(line, line.size(), k_unread);
  json::Value* object = event ? event->find("object") : nullptr;
  return object != nullptr ? std::move(*object) : json::Value();
}

}  // namespace

void WatchQueue::push(WatchEvent event, std::string_view line) {
  {
    const std::lock_guard lock(mutex_);
    const bool waits = !line.empty() && !events_.empty();
    if (waits) event.object = json::Value();
    events_.push_back({std::move(event), waits ? std::string(line) : std::string()});
  }
  wakeup_.notify();
}

std::optional<WatchEvent> WatchQueue::pop(base::Clock& clock, const base::Deadline& deadline, const std::stop_token& stop) {
  for (;;) {
    std::optional<Waiting> next;
    {
      const std::lock_guard lock(mutex_);
      if (!events_.empty()) {
        next = std::move(events_.front());
        events_.pop_front();
      }
    }
    if (next) {
      if (!next->line.empty()) next->event.object = object_in(next->line);
      return std::move(next->event);
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
