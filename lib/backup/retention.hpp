// Which snapshots may go: a pure function. The rules are restic's: within each group (one VM of one namespace, by UID) the good
// snapshots stand newest first, and --keep-daily 7 keeps the first of each of the first seven days (UTC) that have any. A snapshot stays if
// any rule keeps it, so adding a rule never deletes more, and a second run with the same rules finds nothing to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backup/level.hpp"
#include "base/clock.hpp"

namespace vmbackup::backup {

inline constexpr std::uint32_t k_keep_all = UINT32_MAX;

struct RetentionRules {
  // How many; none: the rule was not given. k_keep_all: every one.
  std::optional<std::uint32_t> last, hourly, daily, weekly, monthly, yearly;
  std::optional<base::Duration> within;                     // of the newest of the group (or of now, where that is earlier)
  std::vector<std::pair<std::string, std::string>> labels;  // value "" = any
  // Of the good ones at or above this level the newest stays, and the newest complete one. None: the strongest level that the group has,
  // which also stands in where the group has nothing at the level asked for.
  std::optional<Level> level;
  std::optional<base::Duration> failed_older_than;  // failed ones go when older; none: they stay
  bool all_tools = false;                           // also those that this tool did not make
  bool vm_gone = false;                             // also those of a VM that is gone
  bool any_keep() const;
};

struct RetentionCandidate {
  enum class State { good, unfinished, failed, deleting };
  std::string ns;
  std::string vm;
  std::string vm_uid;  // may be empty: then the VM's name stands in
  std::string name;
  base::WallTime created{};
  State state = State::good;
  Level level = Level::unknown;
  bool clean_stop = false;
  bool complete = false;
  bool ours = false;
  bool vm_gone = false;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::string> users;  // what reads it, or why that cannot be excluded
};

enum class Fate { keep, forget };
const char* to_string(Fate fate);  // "keep", "forget"

struct RetentionDecision {
  Fate fate = Fate::keep;
  std::vector<std::string> reasons;  // never empty; of one that goes: why nothing keeps it
};

// One decision per candidate, in their order. `now` is the server's.
std::vector<RetentionDecision> decide_retention(const std::vector<RetentionCandidate>& candidates, const RetentionRules& rules,
                                                base::WallTime now);

}  // namespace vmbackup::backup
