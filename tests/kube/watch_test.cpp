#include "kube/watch.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "support/fake_clock.hpp"

namespace vmbackup::kube {
namespace {

using std::chrono::seconds;
using test::FakeClock;

WatchEvent event(int source) { return {source, WatchEvent::Type::bookmark, {}, std::nullopt}; }

TEST_CASE("events come in the order they were pushed, from all sources") {
  FakeClock clock;
  WatchQueue queue;
  for (const int source : {3, 1, 2}) queue.push(event(source));
  for (const int source : {3, 1, 2}) {
    const auto got = queue.pop(clock, base::Deadline::at(clock.now()), {});
    REQUIRE(got.has_value());
    CHECK(got->source == source);
  }
}

TEST_CASE("pop waits until the deadline, and no longer") {
  FakeClock clock;
  WatchQueue queue;
  const base::TimePoint begun = clock.now();
  CHECK_FALSE(queue.pop(clock, base::Deadline::after(clock, seconds(5)), {}).has_value());
  CHECK(clock.now() - begun == seconds(5));
}

TEST_CASE("pop wakes for an event that comes while it waits") {
  FakeClock clock;
  WatchQueue queue;
  clock.after(seconds(2), [&] { queue.push(event(7)); });
  const base::TimePoint begun = clock.now();
  const auto got = queue.pop(clock, base::Deadline::after(clock, seconds(5)), {});
  REQUIRE(got.has_value());
  CHECK(got->source == 7);
  CHECK(clock.now() - begun == seconds(2));
}

TEST_CASE("notifications of events already taken do not end a wait early") {
  FakeClock clock;
  WatchQueue queue;
  queue.push(event(1));
  queue.push(event(2));
  CHECK(queue.pop(clock, base::Deadline::at(clock.now()), {}).has_value());
  CHECK(queue.pop(clock, base::Deadline::at(clock.now()), {}).has_value());
  const base::TimePoint begun = clock.now();
  CHECK_FALSE(queue.pop(clock, base::Deadline::after(clock, seconds(5)), {}).has_value());
  CHECK(clock.now() - begun == seconds(5));
}

TEST_CASE("a stop ends the wait, but an event that is there comes first") {
  FakeClock clock;
  WatchQueue queue;
  std::stop_source stop;
  clock.after(seconds(1), [&] { stop.request_stop(); });
  const base::TimePoint begun = clock.now();
  CHECK_FALSE(queue.pop(clock, base::Deadline::never(), stop.get_token()).has_value());
  CHECK(clock.now() - begun == seconds(1));
  queue.push(event(1));
  CHECK(queue.pop(clock, base::Deadline::never(), stop.get_token()).has_value());
}

TEST_CASE("many threads push, one pops, nothing is lost") {
  base::SystemClock clock;
  WatchQueue queue;
  std::vector<std::jthread> threads;
  for (int source = 0; source < 4; ++source) {
    threads.emplace_back([&queue, source] {
      for (int i = 0; i < 500; ++i) queue.push(event(source));
    });
  }
  std::vector<int> counts(4);
  for (int i = 0; i < 2000; ++i) {
    const auto got = queue.pop(clock, base::Deadline::after(clock, seconds(20)), {});
    REQUIRE(got.has_value());
    ++counts[static_cast<std::size_t>(got->source)];
  }
  CHECK(counts == std::vector<int>{500, 500, 500, 500});
}

TEST_CASE("an event that waits behind others comes out as it went in") {
  vmbackup::base::SystemClock clock;
  WatchQueue queue;
  const std::string line = R"({"type":"MODIFIED","object":{"metadata":{"name":"b","managedFields":[1]},"n":2}})";
  for (const char* name : {"a", "b"}) {
    queue.push({1, WatchEvent::Type::modified, json::Value::object({{"metadata", json::Value::object({{"name", name}})}, {"n", 2}}), {}},
               line);
  }
  const auto first = queue.pop(clock, base::Deadline::never(), {});
  const auto second = queue.pop(clock, base::Deadline::never(), {});
  REQUIRE(first.has_value());
  REQUIRE(second.has_value());
  CHECK(first->object.path({"metadata", "name"}).as_string() == "a");
  CHECK(json::dump(second->object) == R"({"metadata":{"name":"b"},"n":2})");
  CHECK(second->source == 1);
  CHECK(second->type == WatchEvent::Type::modified);
}

TEST_CASE("a handle ends its watch once: when destroyed, or when another takes its place") {
  int first = 0;
  int second = 0;
  {
    WatchHandle handle([&] { ++first; });
    WatchHandle moved(std::move(handle));
    CHECK(first == 0);
    moved = WatchHandle([&] { ++second; });
    CHECK(first == 1);
    CHECK(second == 0);
  }
  CHECK(first == 1);
  CHECK(second == 1);
}

}  // namespace
}  // namespace vmbackup::kube
