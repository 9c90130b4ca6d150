// The same work on many things at once.
#pragma once

#include <cstddef>
#include <functional>

namespace vmbackup::base {

// Calls `work` with every number below `count`, on at most `most` threads (at least one), in no order, and returns when all calls have.
// With one thread the calls are made on the caller's. `work` is called from several threads at once and must not throw.
void for_each_parallel(std::size_t count, std::size_t most, const std::function<void(std::size_t)>& work);

}  // namespace vmbackup::base
