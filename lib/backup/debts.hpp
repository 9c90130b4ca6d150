// What this process must let go: guests, and applications that a recipe has quiesced. One list for all, so that signals can ask it.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kube/client.hpp"

namespace vmbackup::backup {

// The command by which a person lets a guest go.
inline std::string thaw_command(const kube::Name& vm) { return "kubectl vmbackup thaw " + vm.name + " -n " + vm.ns; }

// What a guest may have to be let go from. One that is frozen and paused is owed both, and each is settled for itself.
enum class Debt { freeze, pause, recipe };

// Thread-safe. While it is not empty, the process must not end by its own will.
class Debts {
 public:
  void add(const kube::Name& vm, Debt debt) {
    const std::lock_guard lock(mutex_);
    owed_.insert({vm, debt});
  }
  void settle(const kube::Name& vm, Debt debt) {
    const std::lock_guard lock(mutex_);
    owed_.erase({vm, debt});
  }
  // Each guest once, by namespace and name.
  std::vector<kube::Name> owed() const {
    const std::lock_guard lock(mutex_);
    std::vector<kube::Name> names;
    for (const auto& [vm, debt] : owed_) {
      if (names.empty() || names.back() != vm) names.push_back(vm);
    }
    return names;
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::pair<kube::Name, Debt>> owed_;
};

}  // namespace vmbackup::backup
