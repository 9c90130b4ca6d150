// Whether a freeze is proven: each clause of "when a freeze is proven" in kubectl-vmbackup-levels(7). Private to consistency.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backup/evidence.hpp"

namespace vmbackup::backup {

struct FreezeFindings {
  std::vector<std::string> missing;  // not recorded, or lost in a gap: nothing can be said
  std::vector<std::string> failed;   // seen to be otherwise: no proven freeze
  std::vector<std::string> assumptions;
};
// For hold controller, freeze and freeze+pause, of a VM that ran; all members that consistency.cpp asks for first must be there.
FreezeFindings judge_freeze(const Evidence& evidence, const std::vector<std::string>& accept_raw);

// What is missing of the unbroken watch of one and the same instance from t0 to the last cut.
std::vector<std::string> watch_missing(const Evidence& evidence);
// The condition Paused stood from the create to the last cut, in an unbroken watch of one and the same instance.
bool paused_throughout(const Evidence& evidence);

struct PauseSpan {
  std::optional<Offset> from;
  std::optional<Offset> until;
};
PauseSpan pause_span(const Evidence& evidence);
bool has_indication(const Evidence& evidence, const std::string& word);
std::vector<std::string> unknown_indications(const Evidence& evidence);

// "0.62 s".
std::string seconds_text(Offset offset);

}  // namespace vmbackup::backup
