#include "support/fake_clock.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace vmbackup::test {

namespace {

base::WaitEnd wait_for_others(base::Wakeup& wakeup, const std::stop_token& stop) {
  base::SystemClock real;
  const base::WaitEnd end = real.wait(wakeup, real.now() + std::chrono::seconds(10), stop);
  if (end == base::WaitEnd::expired) throw std::logic_error("FakeClock: nothing ends a wait without deadline");
  return end;
}

std::function<void()> or_nothing(std::function<void()> callback) {
  return callback ? std::move(callback) : [] {};
}

}  // namespace

FakeClock::FakeClock(base::WallTime wall_start)
    : now_(std::chrono::hours(1)), wall_offset_(wall_start.time_since_epoch() - now_.time_since_epoch()) {}

base::WallTime FakeClock::default_wall_start() { return base::WallTime(std::chrono::seconds(1767323045)); }

base::TimePoint FakeClock::now() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return now_;
}

base::WallTime FakeClock::wall_now() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return base::WallTime(now_.time_since_epoch() + wall_offset_);
}

base::WaitEnd FakeClock::wait(base::Wakeup& wakeup, base::TimePoint until, const std::stop_token& stop) {
  for (;;) {
    if (wakeup.consume()) return base::WaitEnd::woken;
    if (stop.stop_requested()) return base::WaitEnd::stopped;
    const std::function<void()> callback = take_due(until);
    if (callback) {
      callback();
      continue;
    }
    if (until == base::TimePoint::max()) return wait_for_others(wakeup, stop);
    jump_to(until);
    return base::WaitEnd::expired;
  }
}

void FakeClock::at(base::TimePoint when, std::function<void()> callback) {
  const std::lock_guard<std::mutex> lock(mutex_);
  timers_.emplace(when, or_nothing(std::move(callback)));
}

void FakeClock::after(base::Duration delay, std::function<void()> callback) {
  const std::lock_guard<std::mutex> lock(mutex_);
  timers_.emplace(now_ + delay, or_nothing(std::move(callback)));
}

void FakeClock::advance(base::Duration length) {
  const base::TimePoint until = now() + length;
  while (const std::function<void()> callback = take_due(until)) callback();
  jump_to(until);
}

void FakeClock::set_wall_now(base::WallTime wall) {
  const std::lock_guard<std::mutex> lock(mutex_);
  wall_offset_ = wall.time_since_epoch() - now_.time_since_epoch();
}

std::size_t FakeClock::pending() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return timers_.size();
}

std::function<void()> FakeClock::take_due(base::TimePoint until) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto first = timers_.begin();
  if (first == timers_.end() || first->first > std::max(until, now_)) return {};
  now_ = std::max(now_, first->first);
  std::function<void()> callback = std::move(first->second);
  timers_.erase(first);
  return callback;
}

void FakeClock::jump_to(base::TimePoint when) {
  const std::lock_guard<std::mutex> lock(mutex_);
  now_ = std::max(now_, when);
}

}  // namespace vmbackup::test
