// The owner of one VM's pause: from before it is marked until it is known that it runs again.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "backup/debts.hpp"
#include "backup/events.hpp"
#include "backup/freeze_guard.hpp"
#include "backup/guest_watch.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/guest_control.hpp"

namespace vmbackup::backup {

// What was done to the VM and what came of it. Times on our steady clock.
struct PauseRecord {
  bool marked = false;                       // our mark stands on the VM, or may
  std::optional<base::TimePoint> sent;       // just before the pause was sent
  std::optional<base::TimePoint> confirmed;  // the VMI's status, as it came to be after `sent`, said Paused
  std::optional<kubevirt::PauseAnswer> answer;
  std::string answer_text;                      // the server's words where it was not answered well
  std::optional<base::TimePoint> unpause_sent;  // the unpause that was confirmed
  std::optional<base::TimePoint> unpaused;
  int tries = 0;                            // of the unpause
  bool seen_paused = false;                 // the VMI's status said Paused after `sent`, or at any time if we sent none
  std::string unpaused_by;                  // in words, once `unpaused` is set
  std::optional<base::Error> not_unpaused;  // given up
};

// Lets a VM run again that may be paused, and confirms it. It counts as running when
//   - an unpause answered 200: virt-api sends it on only where the status says Paused, and virt-launcher resumes the guest, or
//   - the instance has ended or another one stands in its place, or
//   - the VMI's status said Paused since our pause, and does not any more, or
//   - the pause had no clear answer, and later than the launcher's limit (60 s) after it was sent the status has never said Paused: until
//     then the pause may still come, so the unpause is repeated every 2 s, or
//   - we sent no pause, and the status does not say Paused.
// A pause that was answered well and that the status never showed is not believed to be over. All else (a snapshot of the VM in progress,
// the API server away) is tried again with growing pauses up to 2 s, for 75 s and `longest_refusal`. Takes no stop token: nothing cancels
// it. unavailable: it could not be confirmed; the message names the VM and why, the hint the command. `record` is brought up to date.
base::Result<void> let_run(kube::Client& client, base::Clock& clock, Observer& observer, const GuardTarget& target,
                           base::Duration longest_refusal, PauseRecord& record);

// Use: pause(), then release(), once. Not thread-safe; one guard per VM, each on whatever thread. A guest that is to be frozen too is
// frozen before and thawed after: a FreezeGuard that is made before this guard is destroyed after it.
//
// What can end this process, and what then becomes of the VM: as for FreezeGuard, but that no timer lets a paused VM go. After abort, SEGV,
// KILL or a loss of power it stands still until `thaw --all`, which finds its mark, or a person comes.
class PauseGuard {
 public:
  // Owes nothing yet. `run` goes into the mark. `longest_refusal`: how long KubeVirt may refuse the unpause because of a snapshot, beyond
  // the usual 75 s: its failureDeadline where that is longer than a minute. `watch`: what it shows of the VM is not read; null where
  // nothing follows it. All must outlive it.
  PauseGuard(kube::Client& client, base::Clock& clock, Observer& observer, Debts& debts, GuardTarget target, std::string run,
             base::Duration longest_refusal, GuestWatch* watch = nullptr);
  // The last net: releases what is still owed. Blocks as release() does.
  ~PauseGuard();
  PauseGuard(const PauseGuard&) = delete;
  PauseGuard& operator=(const PauseGuard&) = delete;

  // Looks, marks the VM, sends the pause once, and waits until the VMI's status says Paused. The debt exists from before the pause is sent;
  // its answer (15 s at the most) is awaited even when `stop` is requested meanwhile. Good: it was seen Paused.
  //   cancelled     stop was requested; before the pause was sent nothing is owed
  //   conflict      another run's mark is on it, or somebody else paused it: nothing is owed and nothing is changed
  //   precondition  its instance has ended or is another one, or somebody else paused it before
  //   timeout       `deadline` passed
  //   unavailable   no clear answer, or its status does not say Paused 15 s after the answer
  //   others        the mark could not be written, or virt-api refused
  // owes() tells whether release() has to follow.
  base::Result<void> pause(const base::Deadline& deadline, const std::stop_token& stop);

  // let_run() where something is owed, then takes the mark away. After it nothing is owed: either it is confirmed, or nobody will try again
  // and the mark stays.
  base::Result<void> release();

  bool owes() const { return owes_; }
  const GuardTarget& target() const { return target_; }
  const PauseRecord& record() const { return record_; }

 private:
  base::Result<void> mark(const base::Deadline& deadline, const std::stop_token& stop);
  std::optional<std::string> version_shown();
  base::Result<std::string> version_read(const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> look_before(const base::Deadline& deadline, const std::stop_token& stop);
  bool shown_paused(const base::Deadline& until, const std::stop_token& stop) const;
  base::Result<void> confirm(const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> confirmed();
  void unmark();
  void settle();
  void tell(Event::Kind kind, const std::string& text);
  kube::Client& client_;
  base::Clock& clock_;
  Observer& observer_;
  Debts& debts_;
  const GuardTarget target_;
  const std::string run_;
  const base::Duration longest_refusal_;
  GuestWatch* const watch_;
  std::string mark_;
  std::string before_;  // the resourceVersion of the instance that was looked at before, and did not say Paused
  PauseRecord record_;
  bool owes_ = false;
};

}  // namespace vmbackup::backup
