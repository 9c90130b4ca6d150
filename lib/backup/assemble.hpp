// From the objects of one snapshot to its report item: pure functions.
#pragma once

#include <optional>
#include <vector>

#include "backup/report.hpp"
#include "kubevirt/vm_snapshot.hpp"

namespace vmbackup::backup {

// The objects of one snapshot as far as they were read.
struct SnapshotParts {
  kubevirt::VmSnapshot snapshot;
  std::optional<kubevirt::VmSnapshotContent> content;
  std::vector<kubevirt::VolumeSnapshot> volume_snapshots;  // in any order
  std::vector<DiskReport> planned;                         // disks as planned before the create; empty for an old snapshot
};

// A volume of a VM before it is known what becomes of it: not included; with the reason where its kind alone keeps it out of every
// snapshot. Not for configuration volumes, which are no disks.
DiskReport disk_of(const kubevirt::Volume& volume);

// Everything but outcome, error, seconds and left, which are the caller's to say. A disk counts as included only when the snapshot's own
// objects say so; where they say nothing yet, the plan stands in.
SnapshotItem assemble(const SnapshotParts& parts);

// done for Succeeded, ready to use and not being deleted, else failed: of a snapshot that is only looked at.
Outcome outcome_of(const kubevirt::VmSnapshot& snapshot);

// Sums up what is known of the disks: item.restore_size.
void sum_sizes(SnapshotItem& item);

// Included disks that have no cut time yet (or, with `ready`, are not ready), by name. Needs the content; without it the result is empty.
std::vector<std::string> unfinished_disks(const SnapshotParts& parts, bool ready);

// "VirtualMachineSnapshot prod/db-0-..., InProgress".
std::string state_in_words(const kubevirt::VmSnapshot& snapshot);

}  // namespace vmbackup::backup
