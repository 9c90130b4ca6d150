// What every procedure that holds guests is given.
#pragma once

#include <string>

#include "backup/debts.hpp"
#include "backup/events.hpp"
#include "base/clock.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

// What every part of a run stands on. All of it outlives the run.
struct Ground {
  kube::Client& client;
  base::Clock& clock;
  Observer& observer;  // told by one thread at a time
  Debts& debts;
};

struct HoldTarget {
  kube::Name vm;
  std::string vm_uid;
  std::string vmi_uid;
  bool windows = false;
  std::string node;  // that runs the instance
};

}  // namespace vmbackup::backup
