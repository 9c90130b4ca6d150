// What happens during a run, told as it happens. No text for people: cli/progress has that.
#pragma once

#include <mutex>
#include <string>

#include "base/clock.hpp"

namespace vmbackup::backup {

struct Event {
  enum class Kind {
    created,        // the VirtualMachineSnapshot exists; `text` is its UID
    phase,          // `text` is the phase's word
    waiting,        // not yet under way or in an error state; `text` is the server's reason. Told when it changes
    indication,     // a new word in status.indications
    disk_begun,     // VolumeSnapshot of `disk` exists, not cut yet
    cut,            // `disk` was cut; `time` is the storage's time of it
    disk_ready,     // the VolumeSnapshot of `disk` may be used
    disk_error,     // the storage refused; `text` is its message. Told when it changes
    ready,          // readyToUse became true
    deleting,       // deletion was sent, or someone sent it
    gone,           // an object is gone; `object` names it
    watch_gap,      // events may have been missed; everything was read anew
    unreadable,     // a kind that only refines the report may not be read; `object` the kind, `text` why
    lock_wait,      // the VM's Lease is held by others; `text` is who, and what is waited for
    locked,         // the VM's Lease is ours; `text` is the time it took over from, if it did
    freezing,       // the freeze is being sent
    frozen,         // it was answered: frozen
    held,           // all guests of the run are frozen
    thawing,        // the unfreeze is being sent
    thaw_again,     // it was not enough; `text` says why. Told when it changes
    thawed,         // the thaw is confirmed; `text` says by what
    owed,           // given up: the guest may still be frozen
    pausing,        // the pause is being sent
    paused,         // the VM's status says so
    unpausing,      // the unpause is being sent
    unpause_again,  // it was not enough; `text` says why. Told when it changes
    unpaused,       // that the VM runs is confirmed; `text` says by what
    pause_owed,     // given up: the VM may still be paused
    quiescing,      // step `object` of the recipe begins; `text` says where
    quiesced,       // it is ready: done, or its check passed
    releasing,      // its release begins
    released,       // it is let go
    step_error,     // something of step `object` failed; `text` says what and why
    step_said,      // `text` is what a command of step `object` said. Only where that was asked for
    ended,          // the wait for this one of several is over; `text` says why it failed, empty when it did not
    warning,        // `text` is a sentence that the operator must see
  };
  Kind kind = Kind::warning;
  std::string ns;
  std::string vm;      // may be empty (wait, delete of a snapshot whose VM is unknown)
  std::string object;  // snapshot name, or "Kind ns/name" for gone
  std::string disk;
  std::string text;
  base::WallTime time{};  // when we saw it; for cut: see there
};

// One of the project's four interfaces. Called by one thread at a time; must not block for long and must not throw.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on(const Event& event) = 0;
};

// Passes on what several threads tell, one at a time. Does not own `to`.
class SerialObserver final : public Observer {
 public:
  explicit SerialObserver(Observer& to) : to_(to) {}
  void on(const Event& event) override {
    const std::lock_guard lock(mutex_);
    to_.on(event);
  }

 private:
  std::mutex mutex_;
  Observer& to_;
};

}  // namespace vmbackup::backup
