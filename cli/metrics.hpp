// What a run of `snapshot` did, for Prometheus: a file for the textfile collector of the node exporter. Man page
// kubectl-vmbackup-metrics(7); names and labels are only ever added.
#pragma once

#include <string>
#include <vector>

#include "backup/report.hpp"
#include "base/result.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"
#include "cli/flags.hpp"

namespace vmbackup::cli {

// --metrics-file PATH.
void bind_metrics_file(Flags& flags, std::string& target);

// Before anything is sent: usage where the file could not be written afterwards, or is there and not ours. Good for "", which means none.
base::Result<void> check_metrics_file(const std::string& path);

// After the run: `codes` are those of the items, `code` that of the run. A file that cannot be written any more is a warning. Nothing is
// written of a dry run.
void write_metrics(Context& context, const std::string& path, const backup::SnapshotReport& report, const std::vector<ExitCode>& codes,
                   ExitCode code);

// The new text of the file. Of `before`, its old text, stays what is of VMs that are not in the report, and of those in it the last success
// and the facts of the last snapshot where the report has none; lines that are none of these are dropped.
std::string metrics_text(const std::string& before, const backup::SnapshotReport& report, const std::vector<ExitCode>& codes,
                         ExitCode code);

// For the man page: name and meaning of each metric.
struct MetricText {
  const char* name;
  const char* help;
};
std::vector<MetricText> metric_texts();

}  // namespace vmbackup::cli
