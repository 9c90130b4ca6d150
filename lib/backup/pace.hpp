// How many guests are made to stand still at the same time.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "base/clock.hpp"
#include "base/duration.hpp"

namespace vmbackup::backup {

// Where a cluster is busy, guests that stand still together each do so for longer: four on two cores three times as long as one alone, and
// all of them are not done any sooner. So many VMs begin with one, which shows how long that takes; more are held as long as that lengthens
// no window by much, and fewer where it does. One thread.
class Pace {
 public:
  // `most` VMs at a time, of `vms` in all. Where they are only a few rounds, finding out would take longer than it saves.
  Pace(std::size_t most, std::size_t vms);

  // So many may be held now; 1 to `most`.
  std::size_t slots() const { return slots_; }
  // A VM stood still from `begin` to `end` until all its disks were cut. Only windows of one `kind` are compared: other storage takes other
  // times.
  void take(const std::string& kind, base::TimePoint begin, base::TimePoint end);

 private:
  void change(std::size_t slots, base::TimePoint now);

  const std::size_t most_;
  std::size_t slots_;
  base::TimePoint changed_{};                       // what began before it shows nothing of the present pace
  std::map<std::string, base::Duration> shortest_;  // by kind: as for one alone
};

}  // namespace vmbackup::backup
