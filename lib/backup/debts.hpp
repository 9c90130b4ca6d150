// Guests that this process must let go. One list for all, so that signals can ask it.
#pragma once

#include <mutex>
#include <set>
#include <vector>

#include "kube/client.hpp"

namespace vmbackup::backup {

// Thread-safe. While it is not empty, the process must not end by its own will.
class Debts {
 public:
  void add(const kube::Name& vm) {
    const std::lock_guard lock(mutex_);
    owed_.insert(vm);
  }
  void settle(const kube::Name& vm) {
    const std::lock_guard lock(mutex_);
    owed_.erase(vm);
  }
  std::vector<kube::Name> owed() const {
    const std::lock_guard lock(mutex_);
    return {owed_.begin(), owed_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::set<kube::Name> owed_;
};

}  // namespace vmbackup::backup
