// The owner of one guest's freeze: from before it is sent until it is known that nothing stands still any more.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "backup/debts.hpp"
#include "backup/events.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/guest_control.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

struct GuardTarget {
  kube::Name vm;
  std::string vmi_uid;  // of the instance that is to be frozen
};

// What was done to the guest and what came of it. Times on our steady clock.
struct FreezeRecord {
  std::chrono::seconds safety_timeout{};
  std::optional<base::TimePoint> sent;       // just before the freeze was sent
  std::optional<base::TimePoint> confirmed;  // it was answered: frozen
  std::optional<kubevirt::FreezeAnswer> answer;
  std::string answer_text;                   // the server's words where it was not answered well
  std::optional<base::TimePoint> thaw_sent;  // the unfreeze that was confirmed
  std::optional<base::TimePoint> thawed;
  int thaw_tries = 0;
  bool vss_limit = false;                 // Windows let go before we did
  bool seen_frozen = false;               // the VMI's status said frozen after `sent`, or at any time if we sent none
  bool thaw_refused = false;              // its agent was asked to thaw and failed
  std::string thawed_by;                  // in words, once `thawed` is set
  std::optional<base::Error> not_thawed;  // given up
};

// Lets a guest go that may be frozen, and confirms it. It counts as let go when
//   - an unfreeze answered 200 that was sent after the freeze had settled (virt-launcher asks the agent live), or
//   - the instance has ended or another one stands in its place, or
//   - the VMI's status said frozen since our freeze and, with the agent connected, does not any more, or
//   - the freeze had no clear answer, and an unfreeze answered 200 after the guest was seen frozen, or later than the launcher's limit
//     (60 s) after the freeze was sent: until then it may still freeze, so the unfreeze is repeated every 2 s.
// Everything else (the agent refuses, the API server is away, we are not known any more) is tried again with growing pauses up to 2 s,
// until the rest of the safety timeout and 75 s have passed. Takes no stop token: nothing cancels a thaw. unavailable: it could not be
// confirmed; the message names the VM and why, the hint the command. `record` is brought up to date.
base::Result<void> let_go(kube::Client& client, base::Clock& clock, Observer& observer, const GuardTarget& target, FreezeRecord& record);

// Use: freeze(), then release() or hand_over(), once. Not thread-safe; one guard per VM, each on whatever thread.
//
// What can end this process, and what then becomes of the guest:
//   INT, TERM, HUP, and QUIT    a stop request; release() runs to its end (cli/signals). A further one changes nothing while a debt is owed
//   TSTP                        refused while a debt is owed
//   HUP under nohup             stays ignored
//   broken pipe, full disk      outputs fail quietly; the run goes on
//   exception, failed alloc.    the stack is unwound, and the destructor lets go; where even that finds no memory: as KILL
//   abort, SEGV, KILL, power    nobody lets go: the guest's safety timer does, which is therefore always set, never 0, and no longer than
//   the
//                               plan needs. Where the agent refuses that one try too, `thaw --all` finds the guest
class FreezeGuard {
 public:
  // Owes nothing yet. All references must outlive it.
  FreezeGuard(kube::Client& client, base::Clock& clock, Observer& observer, Debts& debts, GuardTarget target,
              std::chrono::seconds safety_timeout);
  // The last net: releases what is still owed. Blocks as release() does.
  ~FreezeGuard();
  FreezeGuard(const FreezeGuard&) = delete;
  FreezeGuard& operator=(const FreezeGuard&) = delete;

  // Sends the freeze; the debt exists from before that. Waits for the answer (15 s at the most) even when `stop` is requested meanwhile: an
  // answer that was not awaited would have to count as unclear.
  // cancelled: stop was requested before; nothing was sent. unavailable: no clear answer, or none in 15 s. Else why the guest is not known
  // to be frozen; release() is owed all the same, unless the freeze was refused before any guest was asked (owes() tells).
  base::Result<void> freeze(const std::stop_token& stop);

  // let_go() where something is owed, else nothing. After it nothing is owed: either it is confirmed, or nobody will try again.
  base::Result<void> release();

  // Leaves a guest that is known to be frozen to its safety timer, on purpose: nothing is owed any more.
  void hand_over();

  bool owes() const { return owes_; }
  const GuardTarget& target() const { return target_; }
  const FreezeRecord& record() const { return record_; }

 private:
  void settle();
  kube::Client& client_;
  base::Clock& clock_;
  Observer& observer_;
  Debts& debts_;
  const GuardTarget target_;
  FreezeRecord record_;
  bool owes_ = false;
};

}  // namespace vmbackup::backup
