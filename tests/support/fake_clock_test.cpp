#include "support/fake_clock.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/text.hpp"

using namespace vmbackup::base;
using namespace std::chrono_literals;
using vmbackup::test::FakeClock;

TEST_CASE("time stands still except in a wait, and then jumps") {
  FakeClock clock;
  const TimePoint start = clock.now();
  CHECK(clock.now() == start);
  Wakeup wakeup;
  CHECK(clock.wait(wakeup, start + 1h, {}) == WaitEnd::expired);
  CHECK(clock.now() == start + 1h);
  CHECK(clock.wait(wakeup, start, {}) == WaitEnd::expired);
  CHECK(clock.now() == start + 1h);
}

TEST_CASE("wall time begins where told and follows") {
  FakeClock clock;
  CHECK(format_time(clock.wall_now()) == "2026-01-02T03:04:05.000Z");
  clock.advance(1500ms);
  CHECK(format_time(clock.wall_now()) == "2026-01-02T03:04:06.500Z");
  const TimePoint steady = clock.now();
  clock.set_wall_now(WallTime(0s));
  CHECK(clock.wall_now() == WallTime(0s));
  CHECK(clock.now() == steady);
  CHECK(FakeClock(WallTime(7s)).wall_now() == WallTime(7s));
}

TEST_CASE("what is pending wins, then a stop, and time does not move") {
  FakeClock clock;
  const TimePoint start = clock.now();
  Wakeup wakeup;
  std::stop_source stop;
  stop.request_stop();
  wakeup.notify();
  clock.after(0s, [] { FAIL("no timer may run"); });
  CHECK(clock.wait(wakeup, start + 1h, stop.get_token()) == WaitEnd::woken);
  CHECK(clock.wait(wakeup, start + 1h, stop.get_token()) == WaitEnd::stopped);
  CHECK(clock.now() == start);
}

TEST_CASE("timers run in order of time, then of registration, each at its time and once") {
  FakeClock clock;
  const TimePoint start = clock.now();
  std::vector<std::string> ran;
  const auto note = [&](const std::string& name) {
    return [&ran, &clock, start, name] { ran.push_back(name + "@" + format_duration(clock.now() - start)); };
  };
  clock.after(3s, note("c"));
  clock.after(1s, note("a"));
  clock.after(1s, note("b"));
  clock.at(start - 1min, note("past"));
  clock.after(10s, note("late"));
  Wakeup wakeup;
  CHECK(clock.wait(wakeup, start + 5s, {}) == WaitEnd::expired);
  CHECK(ran == std::vector<std::string>{"past@0s", "a@1s", "b@1s", "c@3s"});
  CHECK(clock.now() == start + 5s);
  CHECK(clock.pending() == 1);
}

TEST_CASE("a timer may wake the waiter, and then time stays there") {
  FakeClock clock;
  const TimePoint start = clock.now();
  Wakeup wakeup;
  clock.after(2s, [&wakeup] { wakeup.notify(); });
  CHECK(clock.wait(wakeup, start + 1h, {}) == WaitEnd::woken);
  CHECK(clock.now() == start + 2s);
}

TEST_CASE("a timer may request the stop") {
  FakeClock clock;
  Wakeup wakeup;
  std::stop_source stop;
  clock.after(2s, [&stop] { stop.request_stop(); });
  CHECK(clock.wait(wakeup, TimePoint::max(), stop.get_token()) == WaitEnd::stopped);
}

TEST_CASE("a timer may register timers, which run in the same wait") {
  FakeClock clock;
  const TimePoint start = clock.now();
  Wakeup wakeup;
  int left = 5;
  std::function<void()> tick = [&] {
    if (--left == 0) {
      wakeup.notify();
    } else {
      clock.after(1s, tick);
    }
  };
  clock.after(1s, tick);
  CHECK(clock.wait(wakeup, TimePoint::max(), {}) == WaitEnd::woken);
  CHECK(clock.now() == start + 5s);
}

TEST_CASE("a timer due exactly at the deadline still runs; an empty one is only a time") {
  FakeClock clock;
  Wakeup wakeup;
  clock.after(1s, {});
  clock.after(2s, [&wakeup] { wakeup.notify(); });
  CHECK(clock.wait(wakeup, clock.now() + 2s, {}) == WaitEnd::woken);
}

TEST_CASE("sleep_until works on it, and so does advance") {
  FakeClock clock;
  const TimePoint start = clock.now();
  int ran = 0;
  clock.after(1s, [&ran] { ++ran; });
  clock.after(3s, [&ran] { ++ran; });
  CHECK(clock.sleep_until(start + 2s, {}));
  CHECK(ran == 1);
  clock.advance(1s);
  CHECK(ran == 2);
  CHECK(clock.now() == start + 3s);
}

TEST_CASE("a wait without deadline is ended by another thread") {
  FakeClock clock;
  Wakeup wakeup;
  std::thread other([&wakeup] { wakeup.notify(); });
  CHECK(clock.wait(wakeup, TimePoint::max(), {}) == WaitEnd::woken);
  other.join();
}

TEST_CASE("several threads wait: each timer runs once and no time goes back") {
  FakeClock clock;
  const TimePoint start = clock.now();
  std::atomic<int> ran = 0;
  for (int i = 1; i <= 100; ++i) clock.after(i * 1ms, [&ran] { ++ran; });
  std::atomic<bool> early = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Wakeup wakeup;
      for (int i = 1; i <= 50; ++i) {
        const TimePoint until = start + i * 2ms + t * 1us;
        (void)clock.wait(wakeup, until, {});
        if (clock.now() < until) early = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(ran == 100);
  CHECK_FALSE(early);
}
