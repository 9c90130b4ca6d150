// Evidence and verdicts in words.
#pragma once

#include <string>
#include <vector>

#include "backup/level.hpp"

namespace vmbackup::cli {

// "filesystem (recorded, unsigned)", "per-disk (inferred)", "unknown (recorded evidence unreadable)".
std::string level_text(const backup::Judged& judged);
// The same, short enough for a column: "filesystem", "per-disk (inferred)".
std::string level_cell(const backup::Judged& judged);

// What was recorded, a plain sentence each: who held the guest, how the freeze was confirmed, each cut, the thaw, the window. Empty where
// nothing was recorded. Times count from t0 on the steady clock of the process that took the snapshot.
std::vector<std::string> evidence_sentences(const kubevirt::Evidence& evidence);

}  // namespace vmbackup::cli
