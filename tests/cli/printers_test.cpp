#include "cli/printers.hpp"
#include "cli/list_view.hpp"

#include <doctest/doctest.h>

#include "base/text.hpp"
#include "cli/table.hpp"
#include "cli/view.hpp"

using namespace vmbackup;
using backup::DiskReport;
using backup::SnapshotItem;

namespace {

base::WallTime at(const char* text) { return base::parse_time(text).value(); }

SnapshotItem good_item() {
  SnapshotItem item;
  item.ns = "prod";
  item.vm = "db-0";
  item.name = "db-0-nightly";
  item.uid = "u-1";
  item.outcome = backup::Outcome::done;
  item.phase = "Succeeded";
  item.ready_to_use = true;
  item.indications = {"Online", "GuestAgent"};
  item.complete = true;
  item.deletion_policy = "Delete";
  item.failure_deadline = "5m";
  item.run = "20260102-030405-abcd";
  item.content = "vmsnapshot-content-u-1";
  item.created = at("2026-01-02T03:04:05Z");
  item.creation_time = at("2026-01-02T03:04:07Z");
  item.seconds = 3.44;
  DiskReport root;
  root.name = "root";
  root.source = "dataVolume";
  root.claim = "db-0-root";
  root.included = true;
  root.volume_snapshot = "vmsnapshot-u-1-volume-root";
  root.snapshot_class = "rig";
  root.cut_time = at("2026-01-02T03:04:06Z");
  root.ready = true;
  DiskReport seed;
  seed.name = "tools";
  seed.source = "containerDisk";
  seed.counts = false;
  seed.reason = "containerDisk keeps nothing over a restart";
  item.disks = {root, seed};
  return item;
}

SnapshotItem failed_item() {
  SnapshotItem item;
  item.ns = "prod";
  item.vm = "db-1";
  item.error =
      base::Error(base::ErrorCode::not_found, "VirtualMachine prod/db-1 not found", "did you mean \"db-0\"?").with_reason("NotFound");
  return item;
}

}  // namespace

TEST_CASE("the end of a snapshot") {
  backup::SnapshotReport report;
  report.items = {good_item()};
  CHECK(cli::snapshot_report_text(report, false) ==
        "NAME           PHASE       READY   LEVEL    INDICATIONS         DISKS   TIME\n"
        "db-0-nightly   Succeeded   true    <none>   Online,GuestAgent   1/1     3.4s\n"
        "\n"
        "DISK    CLAIM       INCLUDED   CUT                        READY    REASON\n"
        "root    db-0-root   true       2026-01-02T03:04:06.000Z   true     <none>\n"
        "tools   <none>      false      <none>                     <none>   containerDisk keeps nothing over a restart\n");
}

TEST_CASE("a snapshot that never was prints no table") {
  backup::SnapshotReport report;
  report.items = {failed_item()};
  CHECK(cli::snapshot_report_text(report, false).empty());
  CHECK(cli::snapshot_names_text(report.items).empty());
  report.items.push_back(good_item());
  CHECK(cli::snapshot_names_text(report.items) == "virtualmachinesnapshot.snapshot.kubevirt.io/db-0-nightly\n");
}

TEST_CASE("a list, at a terminal and elsewhere") {
  SnapshotItem young = good_item();
  young.name = "db-0-new";
  young.phase.clear();
  young.ready_to_use = false;
  young.indications.clear();
  young.created = at("2026-01-02T08:00:00Z");
  young.disks[0].included = false;
  const std::vector<SnapshotItem> items = {good_item(), young};
  CHECK(cli::snapshot_list_text(items, {.ages = true, .now = at("2026-01-02T08:04:00Z")}) ==
        "NAME           VM     PHASE       READY   LEVEL    INDICATIONS         DISKS   AGE\n"
        "db-0-nightly   db-0   Succeeded   true    <none>   Online,GuestAgent   1/1     4h59m\n"
        "db-0-new       db-0   <none>      false   <none>   <none>              0/1     4m\n");
  CHECK(cli::snapshot_list_text({good_item()}, {.namespaces = true}) ==
        "NAMESPACE   NAME           VM     PHASE       READY   LEVEL    INDICATIONS         DISKS   CREATED\n"
        "prod        db-0-nightly   db-0   Succeeded   true    <none>   Online,GuestAgent   1/1     2026-01-02T03:04:05.000Z\n");
  CHECK(cli::snapshot_list_text({}, {}).empty());
}

TEST_CASE("a list with sizes") {
  SnapshotItem large = good_item();
  large.restore_size = std::uint64_t{3} << 29;
  CHECK(cli::snapshot_list_text({large, good_item()}, {.sizes = true, .ages = true, .now = at("2026-01-02T08:04:00Z")}) ==
        "NAME           VM     PHASE       READY   LEVEL    INDICATIONS         DISKS   SIZE     AGE\n"
        "db-0-nightly   db-0   Succeeded   true    <none>   Online,GuestAgent   1/1     1.5Gi    4h59m\n"
        "db-0-nightly   db-0   Succeeded   true    <none>   Online,GuestAgent   1/1     <none>   4h59m\n");
}

TEST_CASE("a list that goes on: rows under the same columns, the header above the first") {
  cli::RunningList list({.ages = true, .now = at("2026-01-02T08:04:00Z")});
  CHECK(list.begin({}).empty());
  CHECK(list.row("added", good_item(), at("2026-01-02T08:04:00Z")) ==
        "EVENT     NAME           VM     PHASE        READY   LEVEL                   INDICATIONS         DISKS   AGE\n"
        "added     db-0-nightly   db-0   Succeeded    true    <none>                  Online,GuestAgent   1/1     4h59m\n");
  CHECK(list.row("gone", good_item(), at("2026-01-02T09:04:00Z")) ==
        "gone      db-0-nightly   db-0   Succeeded    true    <none>                  Online,GuestAgent   1/1     5h59m\n");
  SnapshotItem longer = good_item();
  longer.name = "db-0-nightly-2";
  CHECK(list.row("added", longer, at("2026-01-02T08:04:00Z")) ==
        "added     db-0-nightly-2   db-0   Succeeded    true    <none>                  Online,GuestAgent   1/1     4h59m\n");
  CHECK(list.distinct(good_item()) == list.distinct(good_item()));
  CHECK(list.distinct(good_item()) != list.distinct(longer));
}

TEST_CASE("sizes, in binary units with one place") {
  CHECK(cli::short_size(0) == "0");
  CHECK(cli::short_size(1023) == "1023");
  CHECK(cli::short_size(1024) == "1Ki");
  CHECK(cli::short_size(std::uint64_t{3} << 29) == "1.5Gi");
  CHECK(cli::short_size(500000000) == "476.8Mi");
  CHECK(cli::short_size((std::uint64_t{1} << 30) - 1) == "1Gi");
  CHECK(cli::short_size(std::uint64_t{7} << 60) == "7Ei");
}

TEST_CASE("details") {
  SnapshotItem item = good_item();
  item.reasons = {"VolumeSnapshots may not be read: forbidden", "another"};
  item.disks.clear();
  CHECK(cli::snapshot_details_text(item, false) ==
        "Name:              db-0-nightly\n"
        "Namespace:         prod\n"
        "VM:                db-0\n"
        "Phase:             Succeeded\n"
        "Ready:             true\n"
        "Indications:       Online, GuestAgent\n"
        "Complete:          true\n"
        "Remarks:           VolumeSnapshots may not be read: forbidden\n"
        "                   another\n"
        "Created:           2026-01-02T03:04:05.000Z\n"
        "Cut:               2026-01-02T03:04:07.000Z\n"
        "Failure deadline:  5m\n"
        "Deletion policy:   Delete\n"
        "Run:               20260102-030405-abcd\n"
        "Content:           vmsnapshot-content-u-1\n"
        "UID:               u-1\n");
}

TEST_CASE("decisions of forget: what would go, what went, what failed") {
  backup::ForgetReport report;
  report.dry_run = true;
  report.items.resize(2);
  report.items[0].item.vm = "db-0";
  report.items[0].item.name = "new";
  report.items[0].item.outcome = backup::Outcome::skipped;
  report.items[0].created = at("2026-01-02T03:04:05Z");
  report.items[0].reasons = {"among the last", "daily"};
  report.items[1] = report.items[0];
  report.items[1].item.name = "old";
  report.items[1].item.outcome = backup::Outcome::planned;
  report.items[1].fate = backup::Fate::forget;
  report.items[1].reasons = {"no rule keeps it"};
  CHECK(cli::forget_report_text(report, false) ==
        "VM     NAME   CREATED                    LEVEL    DECISION   REASON\n"
        "db-0   new    2026-01-02T03:04:05.000Z   <none>   keep       among the last; daily\n"
        "db-0   old    2026-01-02T03:04:05.000Z   <none>   forget     no rule keeps it\n"
        "1 of 2 would go; nothing was changed\n");
  report.dry_run = false;
  report.items[1].item.outcome = backup::Outcome::done;
  CHECK(cli::forget_report_text(report, false).find("forgotten   no rule keeps it\n1 of 2 forgotten\n") != std::string::npos);
  CHECK(cli::forget_names_text(report) == "virtualmachinesnapshot.snapshot.kubevirt.io/old\n");
  CHECK(cli::exit_code_of(report, 0) == cli::ExitCode::done);
  report.items[1].item.outcome = backup::Outcome::failed;
  report.items[1].item.error = base::Error(base::ErrorCode::forbidden, "no");
  CHECK(cli::forget_report_text(report, false).find("failed     no rule keeps it\n1 of 2 to forget\n") != std::string::npos);
  CHECK(cli::forget_names_text(report).empty());
  CHECK(cli::exit_code_of(report, 0) == cli::ExitCode::failed);
}

TEST_CASE("plans, one after the other; what is refused is left to its error") {
  backup::SnapshotPlan plan;
  plan.snapshot.ns = "prod";
  plan.snapshot.vm = "db-0";
  plan.snapshot.name = "db-0-nightly";
  plan.running = true;
  plan.agent_connected = true;
  plan.hold = kubevirt::Hold::freeze;
  plan.max_freeze = std::chrono::seconds(10);
  plan.safety_timeout = std::chrono::seconds(20);
  plan.best = backup::Level::crash;
  plan.best_because = {"a freeze does not reach disk root: the agent lists no file system on it"};
  plan.disks = good_item().disks;
  plan.disks[0].file_system = false;
  backup::SnapshotPlan refused = plan;
  refused.refusal = base::Error(base::ErrorCode::conflict, "busy");
  backup::SnapshotReport report;
  report.items = {backup::item_of(plan), backup::item_of(refused), backup::item_of(plan)};
  const std::string one =
      "Would create VirtualMachineSnapshot prod/db-0-nightly; the server would accept it; nothing was changed\n"
      "\n"
      "VM:                db-0 (running, guest agent connected)\n"
      "Hold:              freeze: for at most 10s, safety timer 20s\n"
      "Best level:        crash\n"
      "Because:           a freeze does not reach disk root: the agent lists no file system on it\n"
      "Disks:             1/1\n"
      "Failure deadline:  5m\n"
      "Deletion policy:   Delete\n"
      "\n"
      "DISK    CLAIM       SOURCE          INCLUDED   CLASS    FILESYSTEM   REASON\n"
      "root    db-0-root   dataVolume      true       rig      false        <none>\n"
      "tools   <none>      containerDisk   false      <none>   <none>       containerDisk keeps nothing over a restart\n";
  CHECK(cli::plans_text({{}, false, {}, {plan, refused, plan}, {}, {}}, report, true) == one + "\n" + one);
}

TEST_CASE("deletions") {
  backup::DeleteReport report;
  report.items.resize(3);
  report.items[0].name = "a";
  report.items[0].outcome = backup::Outcome::done;
  report.items[0].deletes = {"VirtualMachineSnapshot prod/a"};
  report.items[0].stays = {"VirtualMachineSnapshotContent prod/c"};
  report.items[1].name = "b";
  report.items[1].outcome = backup::Outcome::skipped;
  report.items[2].name = "c";
  report.items[2].error = base::Error(base::ErrorCode::forbidden, "no");
  CHECK(cli::delete_report_text(report) ==
        "vmsnapshot/a deleted\n  stays: VirtualMachineSnapshotContent prod/c\nvmsnapshot/b not found, skipped\n");
  CHECK(cli::delete_plan_text(report.items) == "  deletes VirtualMachineSnapshot prod/a\n  keeps   VirtualMachineSnapshotContent prod/c\n");
}

TEST_CASE("text from the cluster cannot reach the terminal as it is") {
  SnapshotItem item = good_item();
  item.phase = "Suc\x1b[2Jceeded\nX";
  item.vm = "db\xe2\x80\xae-0";
  const std::string text = cli::snapshot_details_text(item, false) + cli::snapshot_list_text({item}, {});
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("\xe2\x80\xae") == std::string::npos);
  CHECK(text.find("Suc\\x1b[2Jceeded\\nX") != std::string::npos);
  const std::string json = cli::json_text(cli::snapshot_document(item));
  CHECK(json.find('\x1b') == std::string::npos);
  CHECK(json.find("\xe2\x80\xae") == std::string::npos);
  CHECK(json.find("db\\u202e-0") != std::string::npos);
  // Escaped is not changed: a reader gets the same text back.
  CHECK(json::parse(json).value() == cli::snapshot_document(item));
}

TEST_CASE("letters of all alphabets pass through JSON") {
  SnapshotItem item = good_item();
  item.phase = "gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0 \xf0\x9f\x92\xbe";
  const std::string json = cli::json_text(cli::snapshot_document(item));
  CHECK(json.find(item.phase) != std::string::npos);
  CHECK(json::parse(json).value() == cli::snapshot_document(item));
}

TEST_CASE("lengths of time") {
  using std::chrono::hours;
  using std::chrono::minutes;
  using std::chrono::seconds;
  CHECK(cli::short_age(seconds(-5)) == "0s");
  CHECK(cli::short_age(seconds(119)) == "119s");
  CHECK(cli::short_age(seconds(125)) == "2m5s");
  CHECK(cli::short_age(minutes(10)) == "10m");
  CHECK(cli::short_age(minutes(200)) == "3h20m");
  CHECK(cli::short_age(hours(9)) == "9h");
  CHECK(cli::short_age(hours(50)) == "2d2h");
  CHECK(cli::short_age(hours(24 * 100)) == "100d");
  CHECK(cli::short_age(hours(24 * 800)) == "2y70d");
  CHECK(cli::short_seconds(0.04) == "0.0s");
  CHECK(cli::short_seconds(59.94) == "59.9s");
  CHECK(cli::short_seconds(59.96) == "1m00s");
  CHECK(cli::short_seconds(3725) == "1h02m");
}

TEST_CASE("columns line up by what is seen, not by bytes") {
  cli::Table table({"A", "B"});
  table.add({"\xe4\xbd\xa0\xe5\xa5\xbd", "x"});
  table.add({"abcd", "y"});
  table.add({"", "z"});
  CHECK(table.text() == "A        B\n\xe4\xbd\xa0\xe5\xa5\xbd     x\nabcd     y\n<none>   z\n");
}

TEST_CASE("text is wrapped at blanks") {
  CHECK(cli::wrapped("one two three four five six", 24, 2) == "  one two three four\n  five six\n");
  CHECK(cli::wrapped("a\n\nb\n  kept as it is, however long", 20) == "a\n\nb\n  kept as it is, however long\n");
}
