#include "base/parallel.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <vector>

using vmbackup::base::for_each_parallel;

TEST_CASE("every number is worked on once") {
  for (const std::size_t threads : {0u, 1u, 3u, 100u}) {
    std::vector<std::atomic<int>> counts(50);
    for_each_parallel(counts.size(), threads, [&](std::size_t i) { ++counts[i]; });
    for (const std::atomic<int>& count : counts) CHECK(count == 1);
  }
  for_each_parallel(0, 4, [](std::size_t) { FAIL("there is nothing to work on"); });
}

TEST_CASE("as many at once as asked for") {
  std::barrier all_here(3);
  for_each_parallel(3, 3, [&](std::size_t) { all_here.arrive_and_wait(); });
}
