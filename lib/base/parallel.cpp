#include "base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace vmbackup::base {

void for_each_parallel(std::size_t count, std::size_t most, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  const auto take = [&] {
    for (std::size_t mine = next++; mine < count; mine = next++) work(mine);
  };
  std::vector<std::jthread> threads;
  const std::size_t helpers = std::min(count, std::max<std::size_t>(most, 1));
  for (std::size_t i = 1; i < helpers; ++i) threads.emplace_back(take);
  // The caller works too: where no thread can be had at all, the work is done all the same.
  take();
}

}  // namespace vmbackup::base
