// From evidence to a level of consistency: a pure function. The table and each clause stand in the man page kubectl-vmbackup-levels(7).
//
// A claim needs every clause that it rests on. What is absent gives unknown; what was seen to be otherwise gives the next weaker row that
// still holds; facts that exclude each other give unknown. So taking a fact away never makes a verdict stronger.
#pragma once

#include <string>
#include <vector>

#include "backup/evidence.hpp"
#include "backup/level.hpp"

namespace vmbackup::backup {

struct JudgeOptions {
  std::vector<std::string> accept_raw;  // disks whose missing file system is accepted now, beside those accepted when it was taken
};

Verdict consistency_of(const Evidence& evidence, const JudgeOptions& options = {});
// The same; where something speaks against the evidence as a whole: unknown, with that as reasons.
Verdict verdict_of(const SnapshotEvidence& found, const JudgeOptions& options = {});

// Puts the verdict into the item, from recorded evidence unless `ignore_recorded`; a disk that only the record knows to be left out (one
// that was hot-plugged and never in the VM's spec) makes the item incomplete.
void add_level(const SnapshotParts& parts, bool ignore_recorded, SnapshotItem& item);

// Whether all its disks are shown to have stood still together from the create until the last cut. Not for one disk alone, which is of an
// instant of its own.
bool stood_still(const Judged& judged);

// Whether `level` is good enough for `required`. offline meets filesystem and all below; it meets application only if a clean stop was
// seen. Nothing but offline meets offline. A level that is not known meets only unknown.
bool meets(Level level, Level required, bool clean_stop);
bool meets(Level level, Level required, const Evidence& evidence);
bool stopped_cleanly(const Evidence& evidence);

// On Windows a freeze ends by itself after that long, whatever its timeout. [Microsoft VSS, writer timeout of 10 s between Freeze and Thaw]
inline constexpr Offset k_windows_window{10'000};
// fsFreezeStatus is a poll of 5 s: within a longer window than this it must have said "frozen". [kubevirt 1.9.0,
// qemu-fsfreeze-status-interval]
inline constexpr Offset k_unseen_window{10'000};
inline constexpr Offset k_status_poll{5'000};
// A snapshot that waits for another one's lock is tried again after 5 s; one that finds the VM free has it well before this.
// [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go]
inline constexpr Offset k_at_once{2'000};

}  // namespace vmbackup::backup
