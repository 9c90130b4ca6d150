// Several guests held at once, all or none: locks, a watch, a guard each.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/freeze_guard.hpp"
#include "backup/ground.hpp"
#include "backup/guest_truth.hpp"
#include "backup/guest_watch.hpp"
#include "backup/live_probe.hpp"
#include "backup/lock.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace vmbackup::backup {

struct HoldOptions {
  std::chrono::seconds safety_timeout{60};
  LockOptions lock;
  bool probe = false;  // ask the agents themselves, live
};

// Use: take(), then (good or not) release() or hand_over(). The destructor releases what is left. One thread uses it.
class GroupHold {
 public:
  GroupHold(Ground ground, HoldOptions options, std::vector<HoldTarget> targets);
  ~GroupHold();
  GroupHold(const GroupHold&) = delete;
  GroupHold& operator=(const GroupHold&) = delete;

  // Locks all VMs, watches them, looks at them once more, and freezes them, all at the same time. What fails is kept per guest: ok() tells.
  // Does not let go by itself. `deadline` and `stop` end the locking and the looking; a freeze under way is always awaited.
  void take(const base::Deadline& deadline, const std::stop_token& stop);
  // All are frozen.
  bool ok() const;
  const std::optional<base::Error>& error(std::size_t i) const { return guests_[i].error; }

  // Requested when a lock was lost: the guests have to be let go.
  std::stop_token lost() const { return locks_.lost(); }
  std::string why_lost() const { return locks_.why_lost(); }

  // Thaws all that is owed, all at the same time, and confirms it; gives the locks back. `needed_until` is the last moment at which they
  // had to stand still. `ask` lets the live probe ask once more before the thaw (8 s at the most for an agent that is silent). Takes no
  // stop token: nothing cancels a thaw.
  void release(base::TimePoint needed_until, bool ask = false);
  // Leaves those that are frozen to their safety timers, their locks with them; releases the rest.
  void hand_over();

  std::size_t size() const { return guests_.size(); }
  const HoldTarget& target(std::size_t i) const { return guests_[i].target; }
  const FreezeRecord& record(std::size_t i) const { return guests_[i].guard->record(); }
  // What the window came to. Only after release(), for guests that were frozen.
  const WindowVerdict& verdict(std::size_t i) const { return guests_[i].verdict; }
  // Our wall clock at a time of the records.
  base::WallTime wall(base::TimePoint time) const;

 private:
  struct Guest {
    HoldTarget target;
    std::unique_ptr<FreezeGuard> guard;
    std::optional<base::Error> error;
    WindowVerdict verdict;
    bool ours = false;  // frozen by us, and its window not closed yet
  };
  void lock_all(const base::Deadline& deadline, const std::stop_token& stop);
  void look_again(const base::Deadline& deadline, const std::stop_token& stop);
  void prepare_probe(const base::Deadline& deadline, const std::stop_token& stop);
  void freeze_all(const std::stop_token& stop);
  void ask_agents();
  bool any_error() const;

  Ground ground_;
  HoldOptions options_;
  SerialObserver observer_;
  base::TimePoint begin_;
  base::WallTime wall_begin_;
  std::vector<Guest> guests_;
  Locks locks_;
  std::unique_ptr<GuestWatch> watch_;
  std::unique_ptr<LiveProbe> probe_;
};

}  // namespace vmbackup::backup
