// The levels of consistency and what a verdict is made of. How one comes about: consistency.hpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kubevirt/evidence.hpp"

namespace vmbackup::backup {

// Strong to weak. Only ever read by name from outside.
enum class Level { offline, application, filesystem, crash, per_disk, unknown };

const char* to_string(Level level);  // "offline", "application", "filesystem", "crash", "per-disk", "unknown"
std::optional<Level> parse_level(std::string_view text);
const std::vector<Level>& all_levels();  // strong to weak
// The order of the table alone; for --require and --keep-level ask meets().
bool stronger(Level left, Level right);

struct Verdict {
  Level level = Level::unknown;
  bool complete = false;                          // every disk that counts is included, as far as the evidence knows
  std::vector<std::string> reasons;               // why it is not stronger (or, offline, how the VM stopped), a sentence each
  std::vector<std::string> assumptions;           // what was not seen and must be taken on trust
  std::vector<std::string> missing_for_stronger;  // what a stronger level would have needed
};

// recorded: by whoever took the snapshot; unsigned, so it is worth as much as the right to write annotations. inferred: from the objects
// alone. unreadable: there is a record that cannot be read.
enum class EvidenceSource { recorded, inferred, unreadable };
const char* to_string(EvidenceSource source);

struct Judged {
  Verdict verdict;
  EvidenceSource source = EvidenceSource::inferred;
  kubevirt::Evidence evidence;
};

}  // namespace vmbackup::backup
