// What a FakeCluster can be told at its start, and what it tells afterwards.
#pragma once

#include <chrono>
#include <string>

#include "base/clock.hpp"

namespace vmbackup::test {

// How long the played parts take. What a real KubeVirt fixes (the 5 s poll of the freeze status, the 10 s answer limit of
// virt-api, retries after 5 s) is not among them.
struct Speed {
  base::Duration react = std::chrono::milliseconds(1);   // a controller answers a change
  base::Duration bind = std::chrono::milliseconds(1);    // a PVC is bound
  base::Duration boot = std::chrono::milliseconds(5);    // a VMI comes to Running
  base::Duration agent = std::chrono::milliseconds(5);   // from Running to AgentConnected
  base::Duration freeze = std::chrono::milliseconds(2);  // the guest's agent freezes or thaws
  base::Duration cut = std::chrono::milliseconds(5);     // the storage makes one snapshot
  base::Duration ready = std::chrono::milliseconds(5);   // from the cut to readyToUse
  static Speed fast() { return {}; }
  // As a person likes to watch it: one or two seconds for a snapshot.
  static Speed demo();
};

struct ClusterOptions {
  std::string kubevirt = "1.9.0";  // "1.7.0", "1.8.0" or "1.9.0"; decides PartialSnapshot and the name of QuiesceTimeout
  bool snapshot_gate = true;       // false: the create of a snapshot is refused, "snapshot feature gate not enabled"
  bool snapshot_api = true;        // false: the group snapshot.kubevirt.io is not there
  bool kubevirt_api = true;        // false: no KubeVirt at all
  Speed speed;
  base::Duration bookmarks = std::chrono::seconds(60);  // pause between bookmarks of a watch; 0: none
  unsigned seed = 1;                                    // of UIDs
};

// One thing that happened to a guest or a disk: "freeze-request", "frozen", "freeze-again", "freeze-failed", "thaw-request", "thawed",
// "thaw-failed", "safety-timer", "pause", "unpause", "boot", "stopped", "cut", "guest-exec",
// "pod-exec", "exec". `guest` says in which state the guest was at a cut.
struct Happening {
  base::TimePoint time;
  std::string event;
  std::string ns;
  std::string vm;      // empty for a cut of a claim that no VM uses
  std::string claim;   // of a cut
  std::string detail;  // of a cut: "frozen", "paused", "running", "stopped"
};

}  // namespace vmbackup::test
