// A clock whose time stands still until somebody waits, and then jumps.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "base/clock.hpp"

namespace vmbackup::test {

// wait() looks, in this order: is the wakeup notified (woken)? is stop requested (stopped)? is a timer due by `until`? Then time jumps to
// the earliest one, its callback runs, and it looks again. With none left, time jumps to `until` (expired). A wait without deadline that no
// timer can end is left to other threads: it blocks for at most ten real seconds, then it throws std::logic_error, for the test is wrong.
//
// Thread-safe: callbacks run on the waiting thread with no lock held, and may notify, register timers or request a stop. Where several
// threads wait, each moves the one time for all, so a thread may find it later than it asked for, never earlier.
class FakeClock final : public base::Clock {
 public:
  // Steady time starts at one hour, so that tests may look back.
  explicit FakeClock(base::WallTime wall_start = default_wall_start());

  // 2026-01-02T03:04:05Z.
  static base::WallTime default_wall_start();

  base::TimePoint now() const override;
  base::WallTime wall_now() const override;
  base::WaitEnd wait(base::Wakeup& wakeup, base::TimePoint until, const std::stop_token& stop) override;

  // Runs `callback` once, when time gets there; a time that has passed counts as now: at the next wait. Equal times run in the order
  // registered.
  void at(base::TimePoint when, std::function<void()> callback);
  void after(base::Duration delay, std::function<void()> callback);

  // Moves time by hand and runs what falls due on the way.
  void advance(base::Duration length);
  // Makes the wall clock jump, as an administrator or NTP does; steady time does not notice.
  void set_wall_now(base::WallTime wall);
  // Timers that have not run.
  std::size_t pending() const;

 private:
  // Jumps to the earliest timer that is due by `until` and gives its callback, or an empty one after jumping nowhere.
  std::function<void()> take_due(base::TimePoint until);
  void jump_to(base::TimePoint when);

  mutable std::mutex mutex_;
  base::TimePoint now_;
  base::Duration wall_offset_;  // wall time less steady time
  std::multimap<base::TimePoint, std::function<void()>> timers_;
};

}  // namespace vmbackup::test
