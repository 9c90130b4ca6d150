// What was seen while a snapshot was taken, as it is kept in the annotation kubectl-vmbackup/evidence: facts, never a level.
//
// Times are offsets in milliseconds from one instant t0 on the steady clock of the process that saw them: t0 is the first act on the guest
// (freeze or pause sent) or, where KubeVirt's controller freezes or nobody does, the create of the snapshot sent. Before t0 is negative.
// Offsets compare only inside one Evidence. A process that takes up what another began has another clock: it records nothing of what it
// did not see itself, and what is absent weakens the verdict. `t0_wall` is wall time, for showing alone.
//
// Every fact may be absent: "not seen", which never counts as "did not happen". So each fact stands in one member, with its bad sides:
// taking a member away can only weaken what follows from the rest.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "json/value.hpp"

namespace vmbackup::kubevirt {

inline constexpr const char* k_evidence_annotation = "kubectl-vmbackup/evidence";
// All annotations of an object together may be 256 KiB. [kubernetes, apimachinery/pkg/api/validation/objectmeta.go]
inline constexpr std::size_t k_most_evidence_bytes = std::size_t{64} << 10;

using Offset = std::chrono::milliseconds;

enum class Hold { none, controller, freeze, pause, freeze_pause };  // who made the guest stand still
enum class Stop { clean, killed, unknown };                         // how a VM that does not run came to stop
enum class Confirmed { answer, status };                            // by a good answer to our call, or by fsFreezeStatus alone

// Something that is on or off, as seen from `at` on.
struct StateSeen {
  Offset at{};
  bool on = false;
};

// The VirtualMachineInstance, watched from `from` until `until`.
struct InstanceSeen {
  bool ran = false;  // seen in a phase that is not final at any time between
  Offset from{};
  Offset until{};
  std::string uid, node, pod;              // at t0; empty where nothing ran
  std::string end_uid, end_node, end_pod;  // at the last cut
  bool gap = true;                         // the watch broke (410, or a list read anew): something may have been missed
  bool migrating = true;                   // a migration was under way at any time between
  std::optional<Stop> stopped;             // where nothing ran
};

// The condition Paused.
struct PauseSeen {
  bool seen = true;             // at any time between t0 and the last cut
  std::optional<Offset> from;   // since when it stood without a break, by the watch
  std::optional<Offset> until;  // until when it was seen to stand
};

struct FreezeSeen {                 // our own freeze, sent at t0
  std::optional<Offset> confirmed;  // absent: never
  Confirmed by = Confirmed::answer;
  std::string error;  // the last answer that was no success, in the server's words
};
struct ThawSeen {
  bool by_controller = false;       // left to KubeVirt's controller
  std::optional<Offset> sent;       // our first unfreeze; absent: none was sent
  std::optional<Offset> confirmed;  // absent: never
  std::string error;
};

// The VM's status.snapshotInProgress and fsFreezeStatus around the moment at which KubeVirt's controller decides whether to freeze. With a
// freeze of ours only `other` counts.
struct LockSeen {
  bool other = true;  // another snapshot's name stood there at t0 or before ours did
  std::optional<Offset> became_ours;
  bool status_empty = false;  // fsFreezeStatus said nothing at that moment
  bool thaw_before = true;    // a thaw of anybody was seen in the 10 s before
  Offset watched{};           // how long before t0 the watch began (0: at t0)
};

struct StepSeen {  // one quiesce step of a recipe
  std::string name;
  std::optional<Offset> ready;  // done, or its check passed
  std::optional<Offset> held;   // the last time it was found in force: a hold step running, any other not yet released
};

struct GroupSeen {
  std::size_t vms = 0;  // taken together, this one among them
  Offset held{};        // from then on each of them was known to stand still, before any of their snapshots was created
};

struct EvidenceDisk {
  std::string name;                             // the VM's volume
  std::string claim;                            // PVC
  std::string volume_snapshot;                  // name
  std::string handle;                           // the VolumeSnapshot's status.boundVolumeSnapshotContentName; "" where it may not be read
  std::optional<base::WallTime> creation_time;  // by the storage's clock, as the content has it
  std::optional<Offset> cut_seen;               // when we saw that time appear
  bool included = false;
  bool counts = true;               // its absence makes the snapshot incomplete
  std::string reason;               // why it is not included
  std::optional<bool> file_system;  // the agent lists a file system on it; absent: nobody asked, or no answer
  bool accepted_raw = false;        // --accept-raw named it
  std::optional<bool> shared;       // another running VM mounts its claim
};

struct Evidence {
  bool inferred = false;  // from old objects with server times alone; never written
  std::string snapshot_uid, content_uid, vm_uid;
  std::optional<base::WallTime> t0_wall;
  std::optional<Hold> hold;
  std::string guest_os;                  // guestOSInfo.id; "" counts as Windows
  std::optional<Offset> create_sent;     // the create of the snapshot
  std::optional<Offset> safety_timeout;  // after which a guest thaws itself; 0: never
  std::optional<InstanceSeen> instance;
  std::optional<PauseSeen> pause;
  std::optional<FreezeSeen> freeze;
  std::optional<ThawSeen> thaw;
  std::optional<bool> vss_error;                 // any answer to our freeze or unfreeze said that VSS had given up
  std::optional<std::vector<StateSeen>> agent;   // AgentConnected, first as at t0
  std::optional<std::vector<StateSeen>> frozen;  // fsFreezeStatus "frozen", first as at t0
  std::optional<std::vector<StateSeen>> probes;  // the agent's own answers: frozen or not; empty: not asked
  std::optional<LockSeen> lock;
  std::optional<GroupSeen> group;                       // absent: taken by itself
  std::optional<std::vector<StepSeen>> recipe;          // quiesce steps; absent or empty: no recipe
  std::optional<std::vector<std::string>> indications;  // at the end, unknown ones too
  std::optional<std::vector<EvidenceDisk>> disks;
  std::vector<std::string> assumptions;  // sentences: what could not be seen
};

// Compact JSON, "v":1. invalid: longer than k_most_evidence_bytes (nothing is cut off: half of the facts would be other facts).
base::Result<std::string> encode(const Evidence& evidence);
// invalid: too long, not JSON, another version, a member of the wrong type, a word that is not known. Members that are not known are passed
// over: later versions add.
base::Result<Evidence> decode_evidence(const std::string& text);

// A merge patch that sets the annotation on the object with this UID and on no other (409 otherwise).
json::Value evidence_patch(const std::string& uid, const std::string& text);

const char* to_string(Hold hold);  // "none", "controller", "freeze", "pause", "freeze+pause"
const char* to_string(Stop stop);

}  // namespace vmbackup::kubevirt
