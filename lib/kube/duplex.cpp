#include "kube/duplex.hpp"

#include <utility>

namespace vmbackup::kube {
namespace {

constexpr std::size_t k_most_unread = std::size_t{4} << 20;

}  // namespace

base::Result<std::string> Duplex::read(base::Clock& clock, const base::Deadline& deadline, const std::stop_token& stop) {
  for (;;) {
    std::string bytes;
    {
      const std::lock_guard lock(mutex_);
      bytes.swap(incoming_);
      if (bytes.empty() && failure_) return *failure_;
      if (bytes.empty() && ended_) return bytes;
    }
    if (bytes.size() >= k_most_unread) tell();
    if (!bytes.empty()) return bytes;
    const base::WaitEnd end = clock.wait(wakeup_, deadline.when(), stop);
    if (end == base::WaitEnd::stopped) return base::Error(base::ErrorCode::cancelled, "interrupted");
    if (end == base::WaitEnd::expired) return base::Error(base::ErrorCode::timeout, "nothing came in time");
  }
}

void Duplex::write(std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || ended_) return;
    outgoing_.append(bytes);
  }
  tell();
}

void Duplex::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  tell();
}

void Duplex::on_change(std::function<void()> changed) {
  const std::lock_guard lock(change_mutex_);
  changed_ = std::move(changed);
  if (changed_) changed_();
}

void Duplex::tell() {
  const std::lock_guard lock(change_mutex_);
  if (changed_) changed_();
}

bool Duplex::has_room() {
  const std::lock_guard lock(mutex_);
  return incoming_.size() < k_most_unread;
}

void Duplex::feed(std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    incoming_.append(bytes);
  }
  wakeup_.notify();
}

std::string Duplex::take_outgoing() {
  const std::lock_guard lock(mutex_);
  return std::exchange(outgoing_, {});
}

bool Duplex::closed() {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void Duplex::end(std::optional<base::Error> failure) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
    failure_ = std::move(failure);
  }
  wakeup_.notify();
}

}  // namespace vmbackup::kube
