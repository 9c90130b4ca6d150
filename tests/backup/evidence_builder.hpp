// Complete evidence of each way to hold a guest: two disks, last cut at 600 ms, nothing against it. Tests change one fact at a time.
#pragma once

#include <chrono>

#include "backup/consistency.hpp"

namespace vmbackup::test {

using backup::Evidence;
using backup::EvidenceDisk;
using backup::Hold;
using backup::Offset;
using kubevirt::StateSeen;

inline base::WallTime wall_at(int seconds) { return base::WallTime(std::chrono::hours(24 * 365 * 56) + std::chrono::seconds(seconds)); }

inline EvidenceDisk disk_seen(const std::string& name, int cut_seen_ms) {
  EvidenceDisk disk;
  disk.name = name;
  disk.claim = "db-0-" + name;
  disk.volume_snapshot = "vmsnapshot-u1-volume-" + name;
  disk.handle = "snapcontent-" + name;
  disk.creation_time = wall_at(1);
  disk.cut_seen = Offset(cut_seen_ms);
  disk.included = true;
  disk.file_system = true;
  disk.shared = false;
  return disk;
}

// What all have in common: seen running or stopped, nobody held it.
inline Evidence held_by_nobody(bool ran = true) {
  Evidence evidence;
  evidence.snapshot_uid = "u1";
  evidence.content_uid = "c1";
  evidence.vm_uid = "v1";
  evidence.t0_wall = wall_at(0);
  evidence.hold = Hold::none;
  evidence.create_sent = Offset(0);
  evidence.pause = kubevirt::PauseSeen{.seen = false, .from = {}, .until = {}};
  kubevirt::InstanceSeen instance{.ran = ran,
                                  .from = Offset(-300),
                                  .until = Offset(900),
                                  .uid = {},
                                  .node = {},
                                  .pod = {},
                                  .end_uid = {},
                                  .end_node = {},
                                  .end_pod = {},
                                  .gap = false,
                                  .migrating = false,
                                  .stopped = {}};
  if (ran) {
    instance.uid = instance.end_uid = "i1";
    instance.node = instance.end_node = "n1";
    instance.pod = instance.end_pod = "p1";
    evidence.indications = {"NoGuestAgent", "Online"};
  } else {
    instance.stopped = backup::Stop::clean;
    evidence.indications.emplace();
  }
  evidence.instance = instance;
  evidence.disks = {disk_seen("root", 400), disk_seen("data", 600)};
  return evidence;
}

inline Evidence stopped() { return held_by_nobody(false); }

inline Evidence held_by_controller() {
  Evidence evidence = held_by_nobody();
  evidence.hold = Hold::controller;
  evidence.guest_os = "fedora";
  evidence.indications = {"GuestAgent", "Online"};
  evidence.safety_timeout = Offset(300'000);
  evidence.agent = {{Offset(-300), true}};
  evidence.frozen = {{Offset(-300), false}};
  evidence.probes.emplace();
  evidence.vss_error = false;
  evidence.thaw = kubevirt::ThawSeen{.by_controller = true, .sent = {}, .confirmed = {}, .error = {}};
  evidence.lock =
      kubevirt::LockSeen{.other = false, .became_ours = Offset(80), .status_empty = true, .thaw_before = false, .watched = Offset(12'000)};
  return evidence;
}

inline Evidence held_by_freeze() {
  Evidence evidence = held_by_controller();
  evidence.hold = Hold::freeze;
  evidence.lock->status_empty = false;
  evidence.freeze = kubevirt::FreezeSeen{.confirmed = Offset(90), .by = kubevirt::Confirmed::answer, .error = {}};
  evidence.create_sent = Offset(95);
  evidence.thaw = kubevirt::ThawSeen{.by_controller = false, .sent = Offset(700), .confirmed = Offset(760), .error = {}};
  return evidence;
}

inline Evidence held_by_freeze_pause() {
  Evidence evidence = held_by_freeze();
  evidence.hold = Hold::freeze_pause;
  evidence.indications = {"Online", "Paused"};
  evidence.create_sent = Offset(150);
  evidence.pause = kubevirt::PauseSeen{.seen = true, .from = Offset(140), .until = Offset(650)};
  return evidence;
}

inline Evidence held_by_pause() {
  Evidence evidence = held_by_nobody();
  evidence.hold = Hold::pause;
  evidence.indications = {"Online", "Paused"};
  evidence.create_sent = Offset(60);
  evidence.pause = kubevirt::PauseSeen{.seen = true, .from = Offset(50), .until = Offset(650)};
  return evidence;
}

inline Evidence with_recipe(Evidence evidence) {
  evidence.recipe = {{"flush", Offset(-900), Offset(640)}, {"lock", Offset(-200), Offset(640)}};
  return evidence;
}

}  // namespace vmbackup::test
