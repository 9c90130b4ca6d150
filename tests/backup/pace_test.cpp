#include "backup/pace.hpp"

#include <doctest/doctest.h>

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::Pace;

// VMs one after the other, as many at a time as the pace allows, each for as long as `window` says for that number.
class Story {
 public:
  Story(std::size_t most, std::size_t vms) : pace(most, vms) {}
  void round(base::Duration (*window)(std::size_t held), const std::string& kind = "rig") {
    const std::size_t held = pace.slots();
    const base::TimePoint begin = now;
    now += window(held);
    for (std::size_t i = 0; i < held; ++i) pace.take(kind, begin, now);
  }
  Pace pace;
  base::TimePoint now{1h};
};

base::Duration always_the_same(std::size_t) { return 5s; }
base::Duration one_after_the_other(std::size_t held) { return 400ms * held; }

TEST_CASE("storage that cuts many as fast as one: as many as allowed, after one that stood still alone") {
  Story story(4, 20);
  CHECK(story.pace.slots() == 1);
  for (int i = 0; i < 3; ++i) story.round(always_the_same);
  CHECK(story.pace.slots() == 4);
  for (int i = 0; i < 10; ++i) story.round(always_the_same);
  CHECK(story.pace.slots() == 4);
}

TEST_CASE("a cluster that is busy with each: two at a time, and none stands still for more than twice as long as alone") {
  Story story(8, 100);
  for (int i = 0; i < 20; ++i) {
    story.round(one_after_the_other);
    CHECK(story.pace.slots() <= 2);
  }
  CHECK(story.pace.slots() == 2);
}

TEST_CASE("it becomes busier: fewer, down to one, and that one tells what holds from then on") {
  Story story(4, 1000);
  for (int i = 0; i < 10; ++i) story.round(always_the_same);
  CHECK(story.pace.slots() == 4);
  const auto slow = [](std::size_t held) -> base::Duration { return held == 1 ? 15s : 20s; };
  for (int i = 0; i < 3; ++i) story.round(slow);
  CHECK(story.pace.slots() == 1);
  for (int i = 0; i < 3; ++i) story.round(slow);
  CHECK(story.pace.slots() == 4);
}

TEST_CASE("what began before the pace changed does not change it again") {
  Story story(4, 20);
  for (int i = 0; i < 3; ++i) story.round(always_the_same);
  REQUIRE(story.pace.slots() == 4);
  const base::TimePoint begin = story.now;
  for (int i = 1; i <= 4; ++i) story.pace.take("rig", begin, begin + 20s + i * 1s);
  CHECK(story.pace.slots() == 3);
}

TEST_CASE("windows of other storage say nothing of this one; short ones are no reason to hold fewer") {
  Story story(2, 20);
  story.round(always_the_same);
  REQUIRE(story.pace.slots() == 2);
  story.round([](std::size_t) -> base::Duration { return 60s; }, "slow");
  CHECK(story.pace.slots() == 2);
  story.round([](std::size_t) -> base::Duration { return 10ms; }, "quick");
  story.round([](std::size_t) -> base::Duration { return 90ms; }, "quick");
  CHECK(story.pace.slots() == 2);
}

TEST_CASE("a few VMs are held as many at a time as allowed from the start; one at a time stays one") {
  CHECK(Pace(4, 8).slots() == 4);
  CHECK(Pace(4, 9).slots() == 1);
  Story story(1, 100);
  for (int i = 0; i < 5; ++i) story.round(always_the_same);
  CHECK(story.pace.slots() == 1);
  CHECK(Pace(0, 100).slots() == 1);
}

}  // namespace
