#include "base/workers.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>

using vmbackup::base::Workers;

TEST_CASE("with no threads the work is done before post() returns") {
  Workers workers(0);
  int done = 0;
  workers.post([&] {
    workers.post([&] { ++done; });
    ++done;
  });
  CHECK(done == 2);
}

TEST_CASE("what was posted is done before the workers end, and as many at once as there are threads") {
  std::atomic<int> done = 0;
  std::latch both(2);
  {
    Workers workers(2);
    for (int i = 0; i < 2; ++i) {
      workers.post([&] {
        both.arrive_and_wait();  // would stand for ever on one thread
        ++done;
      });
    }
    for (int i = 0; i < 50; ++i) workers.post([&] { ++done; });
  }
  CHECK(done == 52);
}
