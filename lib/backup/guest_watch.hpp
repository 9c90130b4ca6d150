// What VMs and their instances show while we hold them: one watch per kind for all of them, on a thread of its own.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "backup/live_probe.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "kube/client.hpp"
#include "kube/wait.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

// One guest as its objects showed it. VMI status and guestosinfo share one poll of 5 s in virt-launcher, so "frozen" and its end
// are seen up to that much late. [kubevirt 1.9.0, pkg/virt-launcher/virtwrap/agent-poller]
struct Sight {
  bool unbroken = false;                       // both kinds were followed from the first list until now, without a gap
  std::optional<base::Error> unseen;           // why they cannot be followed (no right to watch)
  bool instance_ended = false;                 // the instance of the first list is gone, final, or replaced
  bool moved = false;                          // its node changed, or it migrates
  bool agent_lost = false;                     // AgentConnected was missing at some time
  bool paused = false;                         // at some time
  std::string other_work;                      // a snapshot, restore or backup of others that was seen under way; a clause
  std::optional<base::TimePoint> frozen_seen;  // since mark(): when the status first said frozen
  std::optional<base::TimePoint> thawed_seen;  // when it went back after that
  std::optional<LiveWord> live;                // what its agent said, where it was asked
};

// Something that is on or off from `at` on, by our steady clock.
struct SeenState {
  base::TimePoint at;
  bool on = false;
};
struct SeenName {
  base::TimePoint at;
  std::string name;
};

// A VM that runs, and its instance, as they were told last.
struct Standing {
  std::string version;           // of the VM
  std::string held_mark;         // its annotation k_held_annotation, empty where there is none
  std::string instance;          // UID; in a phase that is not final
  std::string instance_version;  // its resourceVersion
  bool paused = false;
};

// Everything that changed of one guest, for the evidence of a snapshot: each list begins with what was seen first.
struct GuestHistory {
  struct Identity {
    std::string uid, node, pod;
  };
  std::optional<base::TimePoint> begun;  // the first lists had been told whole by then
  bool ran = false;                      // an instance was seen in a phase that is not final
  bool migrating = false;                // at any time
  std::string final_phase;               // of an instance that was seen in a final one
  Identity first, last;                  // instances; empty where nothing ran
  std::vector<SeenState> agent, frozen, paused;
  std::vector<SeenName> snapshots;  // the VM's status.snapshotInProgress
  bool too_many = false;            // changes were left out: what is here is not all
};

// What one guest's changes come to: no thread, no clock of its own.
class SightKeeper {
 public:
  // From here on: what was frozen before is not our freeze.
  void mark();
  void see(const kubevirt::VirtualMachine& vm, base::TimePoint now);
  void see(const kubevirt::VirtualMachineInstance& vmi, base::TimePoint now);
  void see_gone(base::TimePoint now);
  void see_vm_gone() { standing_.version.clear(); }
  // Something of it came that could not be read.
  void miss() { sight_.unbroken = false; }
  // The instance was told as it is in this version or a later one; false where that cannot be said.
  bool reached(const std::string& version) const;
  const Standing& standing() const { return standing_; }
  Sight& sight() { return sight_; }
  const Sight& sight() const { return sight_; }
  GuestHistory& history() { return history_; }
  const GuestHistory& history() const { return history_; }

 private:
  void note(const kubevirt::VirtualMachineInstance& vmi, base::TimePoint now);
  void note(std::vector<SeenState>& states, bool on, base::TimePoint now);

  std::string uid_;
  std::string node_;
  Standing standing_;
  Sight sight_;
  GuestHistory history_;
};

// Use: begin(), once; then it follows on a thread of its own until it is destroyed. mark(), look() and history() from any thread.
// Without `thread` it follows only while it is looked at: for tests whose clock jumps, and from one thread.
class GuestWatch {
 public:
  // `client` and `clock` must outlive it.
  GuestWatch(kube::Client& client, base::Clock& clock, const std::vector<kube::Name>& vms, bool thread = true);
  ~GuestWatch();
  GuestWatch(const GuestWatch&) = delete;
  GuestWatch& operator=(const GuestWatch&) = delete;

  // Returns once the first lists have been told (or cannot be had), at `deadline` or at `stop`. True: all was told.
  bool begin(const base::Deadline& deadline, const std::stop_token& stop);
  // The freeze of this VM is about to be sent.
  void mark(const kube::Name& vm);
  Sight look(const kube::Name& vm);
  GuestHistory history(const kube::Name& vm);
  // Nothing where the VM is not known to run, or is not followed without a gap: it has to be read then. May be milliseconds old.
  std::optional<Standing> standing(const kube::Name& vm);
  // Blocks until the VM's instance was told as a read of it shows it, by its resourceVersion, or as it was later: what happened to it
  // before that read is in history() then. False: not by `deadline`.
  bool follow_to(const kube::Name& vm, const std::string& version, const base::Deadline& deadline);

 private:
  void run(const std::stop_token& stop);
  void lose();
  void catch_up();
  void take(const kube::Change& change);

  base::Clock& clock_;
  const bool own_thread_;
  kube::Follower follower_;      // begin()'s, then the thread's
  std::map<int, bool> sources_;  // number: told
  std::vector<int> instance_sources_;
  std::mutex mutex_;  // guards what follows
  std::map<kube::Name, SightKeeper> keepers_;
  bool told_ = false;
  std::jthread thread_;
};

}  // namespace vmbackup::backup
