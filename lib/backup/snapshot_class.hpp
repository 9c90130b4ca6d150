// Which VolumeSnapshotClass KubeVirt takes for a disk.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kubevirt/storage.hpp"

namespace vmbackup::backup {

struct ClassPick {
  enum class Kind {
    one,        // `classes` holds it
    any_of,     // one of `classes`, and not always the same
    ambiguous,  // none of `classes`: KubeVirt fails, and shows no error until the snapshot's deadline has passed
    none,       // the disk is left out
  };
  Kind kind = Kind::none;
  std::vector<std::string> classes;  // by name
  std::string reason;                // one clause: why not just one, or why the one will not do; else empty
};

// All of a cluster.
struct StorageClasses {
  std::vector<kubevirt::StorageClass> storage;
  std::vector<kubevirt::VolumeSnapshotClass> snapshot;
  std::vector<kubevirt::StorageProfile> profiles;
};

// A pure function, as KubeVirt has it since 1.5; of a StorageClass's name, none where the claim names none:
//   no such StorageClass, or none named                        none
//   its StorageProfile names a class that exists               that, whatever its driver: with another one the snapshot fails (seen)
//   its StorageProfile names a class that does not             none
//   no class with its provisioner as driver                    none
//   one                                                        that
//   several, one of which carries the default annotation       that, whatever the annotation's value
//   several, several of which do                               any of these: its own list has no order, so that two disks of
//                                                              one snapshot may get different ones (seen)
//   several, none of which does                                ambiguous
// [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go: getVolumeSnapshotClassName]
ClassPick pick_class(const std::optional<std::string>& storage_class, const StorageClasses& classes);

// Whether KubeVirt's reason, in status.volumeSnapshotStatuses, for a disk that it cannot snapshot is that several classes fit.
// [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go]
bool says_ambiguous(const std::string& reason);

}  // namespace vmbackup::backup
