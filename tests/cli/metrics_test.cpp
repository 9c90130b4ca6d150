#include "cli/metrics.hpp"

#include <doctest/doctest.h>

#include "base/text.hpp"

namespace {

using namespace vmbackup;
using backup::SnapshotItem;
using backup::SnapshotReport;
using cli::ExitCode;

base::WallTime at(const char* time) { return base::parse_time(time).value(); }

SnapshotItem good(const std::string& vm = "db-0") {
  SnapshotItem item;
  item.ns = "prod";
  item.vm = vm;
  item.name = vm + "-1";
  item.uid = "u";
  item.phase = "Succeeded";
  item.outcome = backup::Outcome::done;
  item.complete = true;
  item.creation_time = at("2026-01-02T03:04:05Z");
  item.seconds = 2.5;
  item.disks.resize(3);
  item.disks[0].included = item.disks[1].included = true;
  item.disks[2].counts = false;
  return item;
}

SnapshotItem failed(const std::string& vm = "db-0") {
  SnapshotItem item;
  item.ns = "prod";
  item.vm = vm;
  item.error = base::Error(base::ErrorCode::timeout, "late");
  return item;
}

std::string text_of(const std::string& before, const std::vector<SnapshotItem>& items, const std::vector<ExitCode>& codes,
                    const char* time = "2026-01-02T03:05:00.250Z") {
  SnapshotReport report;
  report.completion_time = at(time);
  report.items = items;
  return cli::metrics_text(before, report, codes, codes.empty() ? ExitCode::failed : codes.front());
}

// The samples alone, without HELP and TYPE.
std::string samples(const std::string& text) {
  std::string out;
  for (const std::string& line : base::split(text, '\n')) {
    if (!line.empty() && line.front() != '#') out += line + '\n';
  }
  return out;
}

bool has(const std::string& text, const std::string& line) { return text.find(line + '\n') != std::string::npos; }

TEST_CASE("a good snapshot, whole") {
  CHECK(
      text_of("", {good()}, {ExitCode::done}) ==
      "# Written by kubectl-vmbackup snapshot --metrics-file; each run replaces it.\n"
      "# HELP vmbackup_run_timestamp_seconds When the last run ended, by the clock of the machine it ran on.\n"
      "# TYPE vmbackup_run_timestamp_seconds gauge\n"
      "vmbackup_run_timestamp_seconds 1767323100.25\n"
      "# HELP vmbackup_run_exit_code The exit code of the last run, also of one that found no VM.\n"
      "# TYPE vmbackup_run_exit_code gauge\n"
      "vmbackup_run_exit_code 0\n"
      "# HELP vmbackup_snapshot_last_success_timestamp_seconds When the disks of the last snapshot that was as good as asked (exit code 0) "
      "were cut, by the cluster's clock.\n"
      "# TYPE vmbackup_snapshot_last_success_timestamp_seconds gauge\n"
      "vmbackup_snapshot_last_success_timestamp_seconds{namespace=\"prod\",vm=\"db-0\"} 1767323045\n"
      "# HELP vmbackup_snapshot_last_attempt_timestamp_seconds When the last run that tried ended, by the clock of the machine it ran on.\n"
      "# TYPE vmbackup_snapshot_last_attempt_timestamp_seconds gauge\n"
      "vmbackup_snapshot_last_attempt_timestamp_seconds{namespace=\"prod\",vm=\"db-0\"} 1767323100.25\n"
      "# HELP vmbackup_snapshot_last_attempt_success 1 if the last try gave a snapshot as good as asked, else 0. A snapshot that was not "
      "waited for is none.\n"
      "# TYPE vmbackup_snapshot_last_attempt_success gauge\n"
      "vmbackup_snapshot_last_attempt_success{namespace=\"prod\",vm=\"db-0\"} 1\n"
      "# HELP vmbackup_snapshot_last_attempt_exit_code The exit code of the last try.\n"
      "# TYPE vmbackup_snapshot_last_attempt_exit_code gauge\n"
      "vmbackup_snapshot_last_attempt_exit_code{namespace=\"prod\",vm=\"db-0\"} 0\n"
      "# HELP vmbackup_snapshot_last_attempt_duration_seconds How long the last try took, from the create to the end of the wait.\n"
      "# TYPE vmbackup_snapshot_last_attempt_duration_seconds gauge\n"
      "vmbackup_snapshot_last_attempt_duration_seconds{namespace=\"prod\",vm=\"db-0\"} 2.5\n"
      "# HELP vmbackup_snapshot_complete 1 if every disk that the VM can write is in the last snapshot that was taken, else 0.\n"
      "# TYPE vmbackup_snapshot_complete gauge\n"
      "vmbackup_snapshot_complete{namespace=\"prod\",vm=\"db-0\"} 1\n"
      "# HELP vmbackup_snapshot_disks_included How many disks are in the last snapshot that was taken.\n"
      "# TYPE vmbackup_snapshot_disks_included gauge\n"
      "vmbackup_snapshot_disks_included{namespace=\"prod\",vm=\"db-0\"} 2\n"
      "# HELP vmbackup_snapshot_disks_left_out How many disks that the VM can write are not in the last snapshot that was taken.\n"
      "# TYPE vmbackup_snapshot_disks_left_out gauge\n"
      "vmbackup_snapshot_disks_left_out{namespace=\"prod\",vm=\"db-0\"} 0\n");
}

TEST_CASE("level and window, and what becomes of them when the next snapshot tells none") {
  SnapshotItem item = good();
  backup::Judged judged;
  judged.verdict.level = backup::Level::filesystem;
  judged.source = backup::EvidenceSource::recorded;
  judged.evidence.thaw = kubevirt::ThawSeen{};
  judged.evidence.thaw->confirmed = kubevirt::Offset(1250);
  item.judged = std::make_shared<const backup::Judged>(judged);
  const std::string text = text_of("", {item}, {ExitCode::done});
  CHECK(has(text, "vmbackup_snapshot_freeze_window_seconds{namespace=\"prod\",vm=\"db-0\"} 1.25"));
  CHECK(has(text, "vmbackup_snapshot_level{namespace=\"prod\",vm=\"db-0\",level=\"filesystem\"} 1"));
  CHECK(has(text, "vmbackup_snapshot_level{namespace=\"prod\",vm=\"db-0\",level=\"unknown\"} 0"));
  CHECK(has(text, "vmbackup_snapshot_level{namespace=\"prod\",vm=\"db-0\",level=\"offline\"} 0"));
  const std::string later = text_of(text, {good()}, {ExitCode::done});
  CHECK(later.find("freeze_window") == std::string::npos);
  CHECK(later.find("vmbackup_snapshot_level") == std::string::npos);
  const std::string nothing = text_of(text, {failed()}, {ExitCode::deadline});
  CHECK(has(nothing, "vmbackup_snapshot_freeze_window_seconds{namespace=\"prod\",vm=\"db-0\"} 1.25"));
  CHECK(has(nothing, "vmbackup_snapshot_level{namespace=\"prod\",vm=\"db-0\",level=\"filesystem\"} 1"));
}

TEST_CASE("a failed try keeps the last success, an incomplete snapshot is none") {
  const std::string first = text_of("", {good()}, {ExitCode::done});
  const std::string second = text_of(first, {failed()}, {ExitCode::deadline}, "2026-01-03T03:05:00Z");
  CHECK(samples(second) ==
        "vmbackup_run_timestamp_seconds 1767409500\n"
        "vmbackup_run_exit_code 6\n"
        "vmbackup_snapshot_last_success_timestamp_seconds{namespace=\"prod\",vm=\"db-0\"} 1767323045\n"
        "vmbackup_snapshot_last_attempt_timestamp_seconds{namespace=\"prod\",vm=\"db-0\"} 1767409500\n"
        "vmbackup_snapshot_last_attempt_success{namespace=\"prod\",vm=\"db-0\"} 0\n"
        "vmbackup_snapshot_last_attempt_exit_code{namespace=\"prod\",vm=\"db-0\"} 6\n"
        "vmbackup_snapshot_complete{namespace=\"prod\",vm=\"db-0\"} 1\n"
        "vmbackup_snapshot_disks_included{namespace=\"prod\",vm=\"db-0\"} 2\n"
        "vmbackup_snapshot_disks_left_out{namespace=\"prod\",vm=\"db-0\"} 0\n");
  SnapshotItem partial = good();
  partial.complete = false;
  partial.disks[1].included = false;
  partial.creation_time = at("2026-01-04T03:04:05Z");
  const std::string third = text_of(second, {partial}, {ExitCode::weaker});
  CHECK(has(third, "vmbackup_snapshot_last_success_timestamp_seconds{namespace=\"prod\",vm=\"db-0\"} 1767323045"));
  CHECK(has(third, "vmbackup_snapshot_last_attempt_exit_code{namespace=\"prod\",vm=\"db-0\"} 3"));
  CHECK(has(third, "vmbackup_snapshot_complete{namespace=\"prod\",vm=\"db-0\"} 0"));
  CHECK(has(third, "vmbackup_snapshot_disks_left_out{namespace=\"prod\",vm=\"db-0\"} 1"));
  // Created and not waited for: nothing is known of it.
  SnapshotItem begun = good();
  begun.phase.clear();
  const std::string fourth = text_of("", {begun}, {ExitCode::done});
  CHECK(has(fourth, "vmbackup_snapshot_last_attempt_success{namespace=\"prod\",vm=\"db-0\"} 0"));
  CHECK(fourth.find("last_success") == std::string::npos);
}

TEST_CASE("VMs that were not tried stay; what is not ours, or cannot be read, goes") {
  const std::string first = text_of("", {good("db-0"), failed("web-0")}, {ExitCode::done, ExitCode::failed});
  const std::string second = text_of(first, {good("app-0")}, {ExitCode::done}, "2026-01-03T03:05:00Z");
  for (const char* line : {"vmbackup_snapshot_last_success_timestamp_seconds{namespace=\"prod\",vm=\"db-0\"} 1767323045",
                           "vmbackup_snapshot_last_attempt_exit_code{namespace=\"prod\",vm=\"web-0\"} 1",
                           "vmbackup_snapshot_last_attempt_timestamp_seconds{namespace=\"prod\",vm=\"web-0\"} 1767323100.25",
                           "vmbackup_snapshot_last_attempt_timestamp_seconds{namespace=\"prod\",vm=\"app-0\"} 1767409500"}) {
    CAPTURE(line);
    CHECK(has(second, line));
  }
  // Read and written again, nothing changes but the run's own.
  CHECK(text_of(second, {}, {}) == text_of(text_of(second, {}, {}), {}, {}));
  const std::string junk =
      "node_load1 3\nvmbackup_snapshot_complete 1\nvmbackup_snapshot_complete{namespace=\"a\",vm=\"b\"} x\n"
      "vmbackup_snapshot_complete{namespace=\"a\",vm=\"b\nvmbackup_snapshot_complete{namespace=\"a\",pod=\"b\"} 1\n"
      "vmbackup_snapshot_complete{namespace=\"a\",vm=\"b\",level=\"crash\"} 1\nvmbackup_snapshot_level{namespace=\"a\",vm=\"b\"} 1\n"
      "vmbackup_run_exit_code{namespace=\"a\",vm=\"b\"} 1\nvmbackup_snapshot_complete{namespace\n{\n\n\xff\xfe";
  CHECK(text_of(junk, {}, {}) == text_of("", {}, {}));
}

TEST_CASE("names are quoted, and passed-over or nameless items say nothing") {
  SnapshotItem odd = failed("a\"b\\c\nd");
  const std::string text = text_of("", {odd}, {ExitCode::failed});
  CHECK(has(text, R"(vmbackup_snapshot_last_attempt_exit_code{namespace="prod",vm="a\"b\\c\nd"} 1)"));
  CHECK(samples(text_of(text, {}, {})).find(R"(vm="a\"b\\c\nd"} 1)") != std::string::npos);
  SnapshotItem skipped = failed();
  skipped.error.reset();
  skipped.outcome = backup::Outcome::skipped;
  SnapshotItem nameless = failed("");
  CHECK(text_of("", {skipped, nameless}, {ExitCode::done, ExitCode::done}) == text_of("", {}, {ExitCode::done}));
}

}  // namespace
