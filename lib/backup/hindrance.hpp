// What stands in the way of a snapshot, and when it is known that it will not go away by itself: pure functions.
#pragma once

#include <optional>
#include <string>

#include "backup/assemble.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

struct Hindrance {
  enum class Kind {
    none,
    passing,     // the storage is still at it, a volume is being filled, a migration is under way: only KubeVirt's deadline ends that
    failing,     // an error that is tried again and may heal: of the storage, of the freeze, of a volume that is not there
    refused,     // the storage calls the request itself wrong
    unfinished,  // all disks are cut and KubeVirt does not say so: of a thaw that fails there is no word in any object
    unbegun,     // KubeVirt has locked the VM and made nothing: why stands in its log alone. Ends nothing before more is known
    locked,      // the snapshot `by` holds the VM. Ends nothing before more is known of that one
    no_source,   // the VM is not there
    missing,     // VolumeSnapshots that were cut are not there any more
  };
  Kind kind = Kind::none;
  std::string cause;  // one clause, with the server's or the storage's words
  std::string by;
  std::string same;  // with the same kind and `same` it is still the same one, though its words may have changed

  bool operator==(const Hindrance& other) const { return kind == other.kind && same == other.same; }
};

// What stands in the way now; `shown` is assemble(parts). An error on a disk that is cut counts for nothing: the snapshotter leaves an old
// one in place until the disk is ready. Without the content only what the snapshot itself says counts.
// [external-snapshotter 8.6.0, pkg/sidecar-controller/snapshot_controller.go: updateSnapshotContentStatus, isCSIFinalError;
//  kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go: updateVMSnapshotContent, source.go: Lock]
Hindrance hindrance_of(const SnapshotParts& parts, const SnapshotItem& shown);

// For how long it must have stood there, the same all the time, before it is known not to go away by itself. The snapshotter asks the
// storage again after 1, 2, 4, ... s, KubeVirt freezes again every 5 s: a minute holds five or more attempts, ten seconds three. None: it
// never is.
std::optional<base::Duration> patience_with(Hindrance::Kind kind);

// The volume for which KubeVirt cannot choose a VolumeSnapshotClass, and why, as the VM's status has it; empty where it can for all.
std::string class_ambiguity(const kubevirt::VirtualMachine& vm);

// That it is not waited for any longer, and with which command it would be.
base::Error standing_error(const SnapshotParts& parts, const Hindrance& hindrance);

}  // namespace vmbackup::backup
