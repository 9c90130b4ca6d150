// Time as a parameter: the only place where the program waits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>

#include "base/duration.hpp"

namespace vmbackup::base {

// Steady time: for every comparison, deadline and measured length.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Wall time: only for showing, and for names.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Something that a waiting thread can be woken by. notify() may come from any thread and before the wait: it is counted, not lost.
class Wakeup {
 public:
  void notify();
  // Takes all notifications so far. True when there was at least one.
  bool consume();

 private:
  friend class SystemClock;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t pending_ = 0;
};

enum class WaitEnd { woken, expired, stopped };

// One of the project's four interfaces. SystemClock is the real one; the tests have one whose time jumps.
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual WallTime wall_now() const = 0;

  // Blocks until `wakeup` is notified (and consumes that), `until` has come, or `stop` is requested; says which.
  // A notification that is already pending wins over both.
  virtual WaitEnd wait(Wakeup& wakeup, TimePoint until, const std::stop_token& stop) = 0;

  // The only sleep in the program. True when the time has come, false when stopped before.
  bool sleep_until(TimePoint until, const std::stop_token& stop);
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override;
  WallTime wall_now() const override;
  WaitEnd wait(Wakeup& wakeup, TimePoint until, const std::stop_token& stop) override;
};

// A point in steady time that nested steps share, so that together they stay inside one budget. A value type.
class Deadline {
 public:
  static Deadline never();
  static Deadline at(TimePoint when) { return Deadline(when); }
  // A negative or huge duration is clamped to "now" or "never".
  static Deadline after(const Clock& clock, Duration duration);

  TimePoint when() const { return when_; }
  bool is_never() const;
  bool passed(const Clock& clock) const;
  // Never negative; Duration::max() for never().
  Duration remaining(const Clock& clock) const;
  // The earlier of the two.
  Deadline sooner(const Deadline& other) const;

 private:
  explicit Deadline(TimePoint when) : when_(when) {}
  TimePoint when_;
};

}  // namespace vmbackup::base
