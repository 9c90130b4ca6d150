// Reports as text for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backup/report.hpp"
#include "backup/snapshot.hpp"
#include "base/clock.hpp"
#include "cli/view.hpp"

namespace vmbackup::cli {

// The end of `snapshot` and `wait`: one row for each snapshot that exists, then its disks. Empty when no snapshot exists.
std::string snapshot_report_text(const backup::SnapshotReport& report, bool wide);

// What a dry run would do; a plan that is refused, here or by the server (in `report`), is left to its error. `server`: the server was
// asked too.
std::string plans_text(const backup::SnapshotSet& set, const backup::SnapshotReport& report, bool server);

std::string snapshot_details_text(const backup::SnapshotItem& item, bool wide);

// One line per snapshot, and what stays.
std::string delete_report_text(const backup::DeleteReport& report);
// What is going to be deleted, before it is: for the question and for --dry-run.
std::string delete_plan_text(const std::vector<backup::DeleteItem>& items);

// Ours alone on one line, or a table of all with the APIs below.
std::string version_text(const VersionFacts& facts);
// One row per snapshot with the decision and why. What a dry run would do, what is asked, and what was done look alike but for the words
// of the decision: keep, forget, forgotten, failed.
std::string forget_report_text(const backup::ForgetReport& report, bool namespaces);
// Names of those that go or went.
std::string forget_names_text(const backup::ForgetReport& report);

// "virtualmachinesnapshot.snapshot.kubevirt.io/NAME" per line, for those that exist.
std::string snapshot_names_text(const std::vector<backup::SnapshotItem>& items);

// A length of time as kubectl shows ages: "45s", "5m12s", "3h", "12d".
std::string short_age(base::Duration age);
// "512Mi", "1.5Gi": binary units, rounded to one place.
std::string short_size(std::uint64_t bytes);
// "2/3": disks in the snapshot, of those that the VM can write.
std::string disk_count(const backup::SnapshotItem& item);
// "3.4s", "2m05s".
std::string short_seconds(double seconds);

}  // namespace vmbackup::cli
