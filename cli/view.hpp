// Reports as JSON documents: the interface that scripts build on. Fields are only ever added; man page kubectl-vmbackup-json(7).
// Every field is always there: what is not known is null, an empty string or an empty list. Times are RFC 3339 in UTC with
// milliseconds, lengths of time are seconds.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backup/report.hpp"
#include "backup/snapshot.hpp"
#include "backup/versions.hpp"
#include "cli/exit_code.hpp"
#include "json/value.hpp"

namespace vmbackup::cli {

// Small parts of documents: null where there is no time.
json::Value time_value(const std::optional<base::WallTime>& time);
json::Value strings_value(const std::vector<std::string>& texts);

// One item of the documents below.
json::Value snapshot_value(const backup::SnapshotItem& item);

// kind SnapshotReport: what `snapshot` and `wait` did.
json::Value snapshot_report_value(const backup::SnapshotReport& report, ExitCode exit_code);
// Facts of a plan that no item has, for a dry run: {"apiVersion","running","agentConnected","paused","warnings"}.
json::Value plan_value(const backup::SnapshotPlan& plan);
// kind SnapshotList: what `list` found.
json::Value snapshot_list_value(const std::vector<backup::SnapshotItem>& items);
// kind SnapshotEvent: one line of `list --watch`. `event`: listed, added, changed, gone.
json::Value snapshot_event_value(const char* event, base::WallTime time, const backup::SnapshotItem& item);
// kind Snapshot: the fields of one item, as `show` found them.
json::Value snapshot_document(const backup::SnapshotItem& item);
// kind DeleteReport.
json::Value delete_report_value(const backup::DeleteReport& report, ExitCode exit_code);

// What `version` found.
struct VersionFacts {
  std::string version;  // ours
  std::vector<std::pair<std::string, std::string>> libraries{};
  std::optional<backup::ClusterVersions> cluster{};  // none: not asked, or nothing could be read
  std::optional<base::Error> error{};                // why nothing could be read
};
// kind ForgetReport.
json::Value forget_report_value(const backup::ForgetReport& report, ExitCode exit_code);
// kind VersionReport.
json::Value version_value(const VersionFacts& facts, ExitCode exit_code);

// One document as text for -o json or yaml. Characters that could deceive a reader at a terminal are escaped in JSON.
std::string json_text(const json::Value& document);
// The same on one line.
std::string json_line(const json::Value& document);
std::string yaml_text(const json::Value& document);

// Field by field, for the man page: path and meaning.
struct FieldText {
  const char* path;
  const char* meaning;
};
const std::vector<FieldText>& item_field_texts();
const std::vector<FieldText>& report_field_texts();

}  // namespace vmbackup::cli
