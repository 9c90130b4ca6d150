#include "base/backoff.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace vmbackup::base;
using namespace std::chrono_literals;

TEST_CASE("pauses double, shortened by at most a quarter, up to the most") {
  for (unsigned seed = 1; seed < 200; ++seed) {
    Backoff backoff(100ms, 1s, seed);
    for (const Duration full : std::vector<Duration>{100ms, 200ms, 400ms, 800ms, 1s, 1s, 1s}) {
      const Duration pause = backoff.next();
      CHECK(pause <= full);
      CHECK(pause >= full * 3 / 4);
    }
  }
}

TEST_CASE("each pause is longer than the last until the most is reached") {
  Backoff backoff(10ms, 1h, 7);
  Duration last = 0s;
  for (int i = 0; i < 15; ++i) {
    const Duration pause = backoff.next();
    CHECK(pause > last);
    last = pause;
  }
}

TEST_CASE("callers with other seeds do not march in step, those with the same one do") {
  Backoff one(1s, 1min, 1);
  Backoff same(1s, 1min, 1);
  Backoff other(1s, 1min, 2);
  int different = 0;
  for (int i = 0; i < 10; ++i) {
    const Duration pause = one.next();
    CHECK(pause == same.next());
    if (pause != other.next()) ++different;
  }
  CHECK(different >= 9);
}

TEST_CASE("without a seed each one goes its own way") {
  int different = 0;
  for (int i = 0; i < 20; ++i) {
    if (Backoff(1s, 1min).next() != Backoff(1s, 1min).next()) ++different;
  }
  CHECK(different > 0);
}

TEST_CASE("reset begins again") {
  Backoff backoff(100ms, 10s, 3);
  for (int i = 0; i < 6; ++i) (void)backoff.next();
  backoff.reset();
  CHECK(backoff.next() <= 100ms);
}

TEST_CASE("bounds that make no sense never give a pause of nothing") {
  Backoff none(0s, 0s, 1);
  CHECK(none.next() > 0s);
  Backoff turned(10s, 1s, 1);
  CHECK(turned.next() >= 7s);
  CHECK(turned.next() <= 10s);
  Backoff huge(Duration::max() / 2, Duration::max(), 1);
  for (int i = 0; i < 5; ++i) CHECK(huge.next() > 0s);
}
