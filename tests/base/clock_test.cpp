#include "base/clock.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "support/fake_clock.hpp"

using namespace vmbackup::base;
using namespace std::chrono_literals;
using vmbackup::test::FakeClock;

TEST_CASE("notifications are counted, not lost, and taken together") {
  Wakeup wakeup;
  CHECK_FALSE(wakeup.consume());
  wakeup.notify();
  wakeup.notify();
  CHECK(wakeup.consume());
  CHECK_FALSE(wakeup.consume());
}

TEST_CASE("the system clock: a pending notification wins over deadline and stop, and is consumed") {
  SystemClock clock;
  Wakeup wakeup;
  std::stop_source stop;
  stop.request_stop();
  wakeup.notify();
  CHECK(clock.wait(wakeup, clock.now() - 1s, stop.get_token()) == WaitEnd::woken);
  CHECK(clock.wait(wakeup, clock.now() + 1h, stop.get_token()) == WaitEnd::stopped);
}

TEST_CASE("the system clock: a deadline ends the wait, not before its time") {
  SystemClock clock;
  Wakeup wakeup;
  const TimePoint until = clock.now() + 5ms;
  CHECK(clock.wait(wakeup, until, {}) == WaitEnd::expired);
  CHECK(clock.now() >= until);
  CHECK(clock.wait(wakeup, TimePoint::min(), {}) == WaitEnd::expired);
}

TEST_CASE("the system clock: a notification from another thread ends a wait without deadline") {
  SystemClock clock;
  Wakeup wakeup;
  std::thread other([&wakeup] { wakeup.notify(); });
  CHECK(clock.wait(wakeup, TimePoint::max(), {}) == WaitEnd::woken);
  other.join();
}

TEST_CASE("the system clock: a stop from another thread ends a wait without deadline") {
  SystemClock clock;
  Wakeup wakeup;
  std::stop_source stop;
  std::thread other([&stop] { stop.request_stop(); });
  CHECK(clock.wait(wakeup, TimePoint::max(), stop.get_token()) == WaitEnd::stopped);
  other.join();
}

TEST_CASE("the system clock: no notification is lost between two threads") {
  SystemClock clock;
  Wakeup ping;
  Wakeup pong;
  constexpr int k_rounds = 2000;
  std::thread other([&] {
    for (int i = 0; i < k_rounds; ++i) {
      (void)clock.wait(ping, TimePoint::max(), {});
      pong.notify();
    }
  });
  int answered = 0;
  for (int i = 0; i < k_rounds; ++i) {
    ping.notify();
    if (clock.wait(pong, clock.now() + 60s, {}) == WaitEnd::woken) ++answered;
  }
  other.join();
  CHECK(answered == k_rounds);
}

TEST_CASE("sleep_until tells whether the time has come") {
  SystemClock clock;
  CHECK(clock.sleep_until(clock.now() + 1ms, {}));
  std::stop_source stop;
  stop.request_stop();
  CHECK_FALSE(clock.sleep_until(clock.now() + 1h, stop.get_token()));
}

TEST_CASE("wall time is that of the system") {
  const SystemClock clock;
  const auto gap = std::chrono::system_clock::now() - clock.wall_now();
  CHECK(gap >= 0s);
  CHECK(gap < 60s);
}

TEST_CASE("deadlines: durations are clamped") {
  FakeClock clock;
  CHECK(Deadline::after(clock, 5s).when() == clock.now() + 5s);
  CHECK(Deadline::after(clock, -5s).when() == clock.now());
  CHECK(Deadline::after(clock, Duration::min()).when() == clock.now());
  CHECK(Deadline::after(clock, Duration::max()).is_never());
  CHECK_FALSE(Deadline::after(clock, Duration::max() - 2h).is_never());
  CHECK_FALSE(Deadline::at(clock.now()).is_never());
}

TEST_CASE("deadlines: passed and remaining") {
  FakeClock clock;
  const Deadline deadline = Deadline::after(clock, 5s);
  CHECK_FALSE(deadline.passed(clock));
  CHECK(deadline.remaining(clock) == 5s);
  clock.advance(5s - 1ns);
  CHECK_FALSE(deadline.passed(clock));
  CHECK(deadline.remaining(clock) == 1ns);
  clock.advance(1ns);
  CHECK(deadline.passed(clock));
  CHECK(deadline.remaining(clock) == 0s);
  clock.advance(1h);
  CHECK(deadline.remaining(clock) == 0s);
  CHECK_FALSE(Deadline::never().passed(clock));
  CHECK(Deadline::never().remaining(clock) == Duration::max());
}

TEST_CASE("deadlines: the sooner one") {
  FakeClock clock;
  const Deadline near = Deadline::after(clock, 1s);
  const Deadline far = Deadline::after(clock, 2s);
  CHECK(near.sooner(far).when() == near.when());
  CHECK(far.sooner(near).when() == near.when());
  CHECK(Deadline::never().sooner(near).when() == near.when());
  CHECK(near.sooner(Deadline::never()).when() == near.when());
}
