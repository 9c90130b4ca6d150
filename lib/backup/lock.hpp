// One Lease per VM, so that two runs of this tool never hold the same guest.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "backup/events.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kube/lease.hpp"

namespace vmbackup::backup {

// "vmbackup-<vm>", hashed when longer than 63.
std::string lease_name(const std::string& vm);

// Whether a lease was left behind on purpose, for the length of a safety timer.
bool handed_over(const kube::Lease& lease);
// The run that wrote it ("20261125-030000-ab12"), or its holder as it stands.
std::string run_of(const kube::Lease& lease);

struct LockOptions {
  bool use = true;                     // --no-lock
  bool break_lock = false;             // --break-lock
  std::optional<base::Duration> wait;  // --lock-wait: how long for one whose holder lives; none: not at all
  std::string run;
  std::string host;  // where we run; only for people
};

struct LockTarget {
  kube::Name vm;
  std::string vm_uid;
};

// A lease is written with a length of 30 s and renewed every 10 s by a thread of this object, until release() or hand_over(). That of
// another run counts as dead once it has stood unchanged for its own length (10 minutes at the most) on our steady clock. Thread-safe.
class Locks {
 public:
  Locks(kube::Client& client, base::Clock& clock, Observer& observer, LockOptions options);
  // Stops renewing. What is still held is left to run out.
  ~Locks();
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;

  // Takes the lock of one VM. conflict: another run holds it, and lives. timeout, cancelled. Else what the server says; where we may not
  // write leases there is a warning and no lock. Each message names the VM.
  base::Result<void> acquire(const LockTarget& target, const base::Deadline& deadline, const std::stop_token& stop);

  // Requested once a lock was taken from us, or could not be renewed for its whole length.
  std::stop_token lost() const { return lost_.get_token(); }
  std::string why_lost() const;

  // Deletes ours. Best effort, within `deadline`; one that stays runs out.
  void release(const kube::Name& vm, const base::Deadline& deadline);
  // Writes `length` into it and does not renew it any more: it is to last as long as the guest's safety timer.
  base::Result<void> hand_over(const kube::Name& vm, base::Duration length, const base::Deadline& deadline);

 private:
  struct Held {
    kube::Lease lease;
    base::TimePoint renewed;
  };
  base::Result<void> take(const LockTarget& target, const base::Deadline& deadline, const std::stop_token& stop);
  kube::NewLease mine(const LockTarget& target, base::Duration length) const;
  base::Result<void> wait_for(const LockTarget& target, kube::Lease& theirs, const base::Deadline& deadline, const std::stop_token& stop);
  void keep(const kube::Name& vm, const kube::Lease& lease);
  void renew(const std::stop_token& stop);
  void renew_one(const kube::Name& vm, const std::stop_token& stop);
  void lose(const kube::Name& vm, const std::string& why);
  void warn_once(const kube::Name& vm, const base::Error& error);

  kube::Client& client_;
  base::Clock& clock_;
  Observer& observer_;
  const LockOptions options_;
  std::stop_source lost_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<kube::Name, Held> held_;
  std::string why_lost_;
  bool warned_ = false;
  std::jthread renewer_;
};

}  // namespace vmbackup::backup
