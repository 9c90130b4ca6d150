#include "cli/view.hpp"

#include <doctest/doctest.h>

#include "backup/evidence_builder.hpp"
#include "base/text.hpp"

using namespace vmbackup;

namespace {

std::vector<std::string> keys(const json::Value& value) {
  std::vector<std::string> names;
  for (const json::Member& member : value.members()) names.push_back(member.first);
  return names;
}

}  // namespace

TEST_CASE("a report has every field even when nothing is known") {
  backup::SnapshotReport report;
  report.run = "r";
  report.start_time = base::parse_time("2026-01-02T03:04:05.678Z").value();
  report.items.resize(1);
  report.items[0].disks.resize(1);
  const json::Value value = cli::snapshot_report_value(report, cli::ExitCode::deadline);
  CHECK(keys(value) ==
        std::vector<std::string>{"apiVersion", "kind", "run", "dryRun", "startTime", "completionTime", "exitCode", "group", "items"});
  CHECK(value.path({"apiVersion"}).as_string() == "vmbackup/v1");
  CHECK(value.path({"kind"}).as_string() == "SnapshotReport");
  CHECK(value.path({"startTime"}).as_string() == "2026-01-02T03:04:05.678Z");
  CHECK(value.path({"completionTime"}).is_null());
  CHECK(value.path({"exitCode"}).as_integer() == 6);
  const json::Value& item = value.path({"items"}).items().at(0);
  CHECK(keys(item) == std::vector<std::string>{"namespace",
                                               "vm",
                                               "name",
                                               "uid",
                                               "outcome",
                                               "phase",
                                               "readyToUse",
                                               "indications",
                                               "level",
                                               "levelSource",
                                               "complete",
                                               "reasons",
                                               "assumptions",
                                               "missingForStronger",
                                               "freeze",
                                               "steps",
                                               "disks",
                                               "deletionPolicy",
                                               "failureDeadline",
                                               "run",
                                               "labels",
                                               "content",
                                               "restoreSizeBytes",
                                               "creationTimestamp",
                                               "cutTime",
                                               "durationSeconds",
                                               "obstacle",
                                               "tries",
                                               "failedTries",
                                               "left",
                                               "error"});
  CHECK(item.path({"outcome"}).as_string() == "failed");
  CHECK(item.path({"error"}).is_null());
  CHECK(item.path({"durationSeconds"}).is_null());
  CHECK(item.path({"indications"}).is_array());
  CHECK(keys(item.path({"disks"}).items().at(0)) ==
        std::vector<std::string>{"name", "source", "claim", "included", "counts", "reason", "volumeSnapshot", "volumeSnapshotClass",
                                 "restoreSizeBytes", "cutTime", "readyToUse", "fileSystem", "acceptedRaw", "shared", "error"});
}

TEST_CASE("a level is null where nobody judged, and never follows from an indication") {
  backup::SnapshotItem item;
  item.indications = {"GuestAgent"};
  for (const json::Value& value : {cli::snapshot_document(item), cli::snapshot_value(item)}) {
    CHECK(value.find("level")->is_null());
    CHECK(value.find("levelSource")->is_null());
    CHECK(value.find("freeze")->is_null());
  }
}

TEST_CASE("level, reasons, assumptions and the times of the freeze from recorded evidence") {
  backup::SnapshotItem item;
  item.reasons = {"first"};
  backup::Judged judged;
  judged.source = backup::EvidenceSource::recorded;
  judged.evidence = test::held_by_freeze();
  judged.verdict = backup::consistency_of(judged.evidence);
  judged.verdict.reasons = {"second"};
  item.judged = std::make_shared<const backup::Judged>(judged);
  const json::Value value = cli::snapshot_value(item);
  CHECK(value.path({"level"}).as_string() == "filesystem");
  CHECK(value.path({"levelSource"}).as_string() == "recorded");
  CHECK(json::dump(value.path({"reasons"})) == R"(["first","second"])");
  CHECK(json::dump(value.path({"assumptions"})) == R"(["nobody else thawed the guest in the last 0.60 s before the last cut"])");
  CHECK(json::dump(value.path({"freeze"})) ==
        R"({"by":"freeze","sentTime":"2025-12-18T00:00:00.000Z","confirmedTime":"2025-12-18T00:00:00.090Z",)"
        R"("thawConfirmedTime":"2025-12-18T00:00:00.760Z","windowSeconds":0.6})");
}

TEST_CASE("an error keeps the server's words") {
  backup::SnapshotItem item;
  item.error = base::Error(base::ErrorCode::forbidden, "users \"x\" may not", "ask").with_reason("Forbidden").with_causes({"a", "b"});
  CHECK(json::dump(cli::snapshot_value(item).path({"error"})) ==
        R"({"code":"forbidden","message":"users \"x\" may not","hint":"ask","reason":"Forbidden","causes":["a","b"]})");
}

TEST_CASE("one snapshot alone has its fields at the top") {
  backup::SnapshotItem item;
  item.name = "s";
  const json::Value value = cli::snapshot_document(item);
  CHECK(value.path({"kind"}).as_string() == "Snapshot");
  CHECK(value.path({"name"}).as_string() == "s");
}

TEST_CASE("deletions and version") {
  backup::DeleteReport report;
  report.dry_run = true;
  report.items.resize(1);
  report.items[0].stays = {"x"};
  CHECK(
      json::dump(cli::delete_report_value(report, cli::ExitCode::failed)) ==
      R"({"apiVersion":"vmbackup/v1","kind":"DeleteReport","dryRun":true,"exitCode":1,"items":[{"namespace":"","name":"","vm":"","outcome":"failed","deletes":[],"stays":["x"],"users":[],"error":null}]})");
  cli::VersionFacts facts{.version = "1.2.3", .libraries = {{"lib", "4"}}};
  CHECK(
      json::dump(cli::version_value(facts, cli::ExitCode::done)) ==
      R"({"apiVersion":"vmbackup/v1","kind":"VersionReport","client":{"version":"1.2.3","builtWith":{"lib":"4"}},"exitCode":0,"server":null,"kubevirt":null,"cdi":null,"apis":[],"apisError":null,"error":null})");
  facts.cluster.emplace();
  facts.cluster->server = {.installed = true, .version = "v1.34.2"};
  facts.cluster->cdi = {.installed = false, .version = {}};
  facts.cluster->apis = {{"kubevirt.io", {"v1", "v1alpha3"}, "v1"}};
  const json::Value value = cli::version_value(facts, cli::ExitCode::done);
  CHECK(json::dump(*value.find("server")) == R"({"installed":true,"version":"v1.34.2","error":null})");
  CHECK(json::dump(*value.find("kubevirt")) == R"({"installed":null,"version":"","error":null})");
  CHECK(json::dump(*value.find("cdi")) == R"({"installed":false,"version":"","error":null})");
  CHECK(json::dump(*value.find("apis")) == R"([{"group":"kubevirt.io","served":["v1","v1alpha3"],"used":"v1"}])");
}
