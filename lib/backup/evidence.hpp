// Evidence of one snapshot: what was recorded, whether it still fits the objects, and what old objects alone allow to infer.
//
// Recording: fill kubevirt/evidence.hpp's Evidence while the snapshot is taken (offset_of() for each time, disks_of() for the disks, at the
// end), then record_evidence(). Judging: evidence_of() and verdict_of() in consistency.hpp; list and show do just that.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/assemble.hpp"
#include "backup/level.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/evidence.hpp"

namespace vmbackup::backup {

using kubevirt::Evidence;
using kubevirt::EvidenceDisk;
using kubevirt::Hold;
using kubevirt::Offset;
using kubevirt::Stop;

// Steady times to offsets: what begins is rounded down and what ends is rounded up, so that rounding never makes a window look shorter.
enum class Edge { begin, end };
Offset offset_of(base::TimePoint t0, base::TimePoint when, Edge edge);

// The included disks: each needs a cut that was seen for last_cut() to have a value. No disk: none.
std::optional<Offset> last_cut(const Evidence& evidence);
// guestOSInfo.id is "mswindows" for all of them; what is not known counts as Windows, for its limits are the narrower ones.
// [qemu 9, qga/commands-win32.c qmp_guest_get_osinfo]
bool counts_as_windows(const Evidence& evidence);

// The disks as the objects have them, and what the plan knew of them (file_system, accepted_raw, shared); without cut_seen, which only a
// watch knows.
std::vector<EvidenceDisk> disks_of(const SnapshotParts& parts);

// What only the objects of an old snapshot show. Server times alone exist, whole seconds apart, and nobody compared them with anything, so
// nothing is inferred from them but that a disk was cut. What is inferred, and what is not:
// - one disk: crash, whether the VM ran or not; a single cut is one instant by itself;
// - several disks and the indication Online: per-disk. GuestAgent says that a freeze was meant, not that it held;
// - several disks and no indication Online: unknown, not offline. KubeVirt clears the indications when a VM stops in the middle, so that
//   a snapshot whose first disk was cut while the guest wrote looks the same. [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go]
Evidence inferred_evidence(const SnapshotParts& parts);

// Where recorded evidence and the objects differ (snapshot, VM and content UID, disks with claim, handle and cut time, indications), a
// sentence each; the content itself must have been read. Empty: they fit.
std::vector<std::string> mismatches(const Evidence& recorded, const SnapshotParts& parts);

struct SnapshotEvidence {
  EvidenceSource source = EvidenceSource::inferred;
  Evidence evidence;
  std::vector<std::string> against;  // each alone makes the level unknown: mismatches, not finished, cannot be read
};
// Recorded evidence where the snapshot carries some and `ignore_recorded` does not leave it out, else what can be inferred.
SnapshotEvidence evidence_of(const SnapshotParts& parts, bool ignore_recorded);

// Writes the annotation on the snapshot with evidence.snapshot_uid. invalid: too long to be kept; conflict: replaced under its name by
// another; else what the client says (forbidden: the caller may not patch). Sent once.
base::Result<void> record_evidence(kube::Client& client, const std::string& api_version, const kube::Name& name, const Evidence& evidence,
                                   const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::backup
