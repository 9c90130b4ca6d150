// What each level of consistency means, for kubectl-vmbackup-levels(7). backup/consistency.cpp decides; this only says.
#pragma once

#include <vector>

namespace vmbackup::cli {

struct LevelText {
  const char* name;
  const char* meaning;
};
// One per level, strong to weak.
const std::vector<LevelText>& level_texts();
// The clauses of a proven freeze, one per rule.
const std::vector<LevelText>& freeze_clause_texts();

}  // namespace vmbackup::cli
