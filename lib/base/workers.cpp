#include "base/workers.hpp"

#include <utility>

namespace vmbackup::base {

Workers::Workers(std::size_t count) : alone_(count == 0) {
  for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this] { run(); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
}

void Workers::post(std::function<void()> work) {
  if (alone_) return work();
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void Workers::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return over_ || !posted_.empty(); });
    if (posted_.empty()) return;
    const std::function<void()> work = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace vmbackup::base
