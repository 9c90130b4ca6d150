// Names that are fixed in the plan, so that a create that is repeated meets its own object.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace vmbackup::backup {

inline constexpr const char* k_managed_by_label = "app.kubernetes.io/managed-by";
inline constexpr const char* k_managed_by = "kubectl-vmbackup";
inline constexpr const char* k_run_label = "kubectl-vmbackup/run";
inline constexpr const char* k_tool_version_annotation = "kubectl-vmbackup/tool-version";
// The key of a label that this tool sets itself, now or one day: managed-by, and all of kubectl-vmbackup/.
bool is_own_label(std::string_view key);

// "<UTC yyyymmdd-hhmmss>-<4>", the last four letters or digits drawn from `random`.
std::string make_run_id(base::WallTime now, unsigned random);

// Whether the text has that form.
bool is_run_id(const std::string& text);

// VM name cut to 36, "-", run id; with an 8-hex hash of the whole VM name when it was cut. At most 63 characters.
std::string snapshot_name(const std::string& vm, const std::string& run);

// Our program's version: "0.1.0". One place for all.
const char* tool_version();

}  // namespace vmbackup::backup
