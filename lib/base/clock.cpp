#include "base/clock.hpp"

namespace vmbackup::base {

void Wakeup::notify() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++pending_;
  // Under the lock: a waiter that wakes and destroys this object cannot get ahead of the call.
  changed_.notify_all();
}

bool Wakeup::consume() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool any = pending_ > 0;
  pending_ = 0;
  return any;
}

bool Clock::sleep_until(TimePoint until, const std::stop_token& stop) {
  Wakeup nobody;
  return wait(nobody, until, stop) == WaitEnd::expired;
}

TimePoint SystemClock::now() const { return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now()); }

WallTime SystemClock::wall_now() const { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

WaitEnd SystemClock::wait(Wakeup& wakeup, TimePoint until, const std::stop_token& stop) {
  std::unique_lock<std::mutex> lock(wakeup.mutex_);
  wakeup.changed_.wait_until(lock, stop, until, [&wakeup] { return wakeup.pending_ > 0; });
  if (wakeup.pending_ > 0) {
    wakeup.pending_ = 0;
    return WaitEnd::woken;
  }
  return stop.stop_requested() ? WaitEnd::stopped : WaitEnd::expired;
}

Deadline Deadline::never() { return Deadline(TimePoint::max()); }

Deadline Deadline::after(const Clock& clock, Duration duration) {
  const TimePoint now = clock.now();
  if (duration <= Duration::zero()) return Deadline(now);
  if (duration >= TimePoint::max() - now) return never();
  return Deadline(now + duration);
}

bool Deadline::is_never() const { return when_ == TimePoint::max(); }

bool Deadline::passed(const Clock& clock) const { return !is_never() && clock.now() >= when_; }

Duration Deadline::remaining(const Clock& clock) const {
  if (is_never()) return Duration::max();
  const TimePoint now = clock.now();
  return now >= when_ ? Duration::zero() : when_ - now;
}

Deadline Deadline::sooner(const Deadline& other) const { return other.when_ < when_ ? other : *this; }

}  // namespace vmbackup::base
