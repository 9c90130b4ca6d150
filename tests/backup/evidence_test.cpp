#include "backup/evidence.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "backup/consistency.hpp"
#include "backup/evidence_builder.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace vmbackup::test;
using namespace std::chrono_literals;
using backup::EvidenceSource;
using backup::Level;
using backup::SnapshotParts;

using Kind = kubevirt::Volume::Kind;

// The objects that belong to evidence_builder.hpp's evidence.
SnapshotParts objects_of(const Evidence& evidence) {
  SnapshotParts parts;
  parts.snapshot.ns = "prod";
  parts.snapshot.name = "s1";
  parts.snapshot.uid = "u1";
  parts.snapshot.source_name = "db-0";
  parts.snapshot.source_uid = "v1";
  parts.snapshot.phase = kubevirt::SnapshotPhase::succeeded;
  parts.snapshot.phase_text = "Succeeded";
  parts.snapshot.ready_to_use = true;
  parts.snapshot.indications = *evidence.indications;
  kubevirt::VmSnapshotContent content;
  content.ns = "prod";
  content.name = "vmsnapshot-content-u1";
  content.uid = "c1";
  for (const EvidenceDisk& disk : *evidence.disks) {
    content.vm_volumes.push_back({disk.name, Kind::persistent_volume_claim, "persistentVolumeClaim", disk.claim});
    content.backups.push_back({disk.name, disk.claim, "rig", disk.volume_snapshot});
    content.cuts.push_back({disk.volume_snapshot, disk.creation_time, true, ""});
    kubevirt::VolumeSnapshot volume;
    volume.ns = "prod";
    volume.name = disk.volume_snapshot;
    volume.uid = "vs-" + disk.name;
    volume.bound_content = disk.handle;
    volume.creation_time = disk.creation_time;
    parts.volume_snapshots.push_back(volume);
  }
  parts.content = content;
  return parts;
}

SnapshotParts recorded(const Evidence& evidence) {
  SnapshotParts parts = objects_of(evidence);
  parts.snapshot.annotations = {{kubevirt::k_evidence_annotation, *kubevirt::encode(evidence)}};
  return parts;
}

TEST_CASE("recorded evidence that fits the objects gives its level") {
  const SnapshotParts parts = recorded(held_by_freeze());
  const backup::SnapshotEvidence found = backup::evidence_of(parts, false);
  CHECK(found.source == EvidenceSource::recorded);
  CHECK(found.against.empty());
  CHECK(backup::verdict_of(found).level == Level::filesystem);
}

TEST_CASE("--ignore-recorded leaves it out") {
  const backup::SnapshotEvidence found = backup::evidence_of(recorded(held_by_freeze()), true);
  CHECK(found.source == EvidenceSource::inferred);
  CHECK(backup::verdict_of(found).level == Level::per_disk);
}

TEST_CASE("any mismatch with the objects gives unknown, with the reason") {
  struct Row {
    const char* reason;
    std::function<void(SnapshotParts&)> change;
  };
  const std::vector<Row> rows = {
      {"snapshot with UID u1, this is u2", [](SnapshotParts& p) { p.snapshot.uid = "u2"; }},
      {"VM with UID v1, this is v2", [](SnapshotParts& p) { p.snapshot.source_uid = "v2"; }},
      {"content with UID c1, this is c2", [](SnapshotParts& p) { p.content->uid = "c2"; }},
      {"content, which was not read", [](SnapshotParts& p) { p.content.reset(); }},
      {"does not hold it", [](SnapshotParts& p) { p.content->backups.pop_back(); }},
      {"does not hold it", [](SnapshotParts& p) { p.content->backups.back().volume_snapshot.clear(); }},
      {"the content has other", [](SnapshotParts& p) { p.content->backups.back().volume_snapshot = "other"; }},
      {"the content has other-claim", [](SnapshotParts& p) { p.content->backups.back().claim = "other-claim"; }},
      {"the time of its cut", [](SnapshotParts& p) { p.content->cuts.back().creation_time = wall_at(2); }},
      {"the time of its cut", [](SnapshotParts& p) { p.content->cuts.clear(); }},
      {"bound to elsewhere", [](SnapshotParts& p) { p.volume_snapshots.back().bound_content = "elsewhere"; }},
      {"not recorded as included",
       [](SnapshotParts& p) {
         p.content->backups.push_back({"new", "c", "rig", "vs-new"});
       }},
      {"recorded indications", [](SnapshotParts& p) { p.snapshot.indications.emplace_back("QuiesceTimeout"); }},
      {"not finished", [](SnapshotParts& p) { p.snapshot.phase = kubevirt::SnapshotPhase::in_progress; }},
      {"failed", [](SnapshotParts& p) { p.snapshot.phase = kubevirt::SnapshotPhase::failed; }},
      {"being deleted", [](SnapshotParts& p) { p.snapshot.deleting = true; }},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.reason));
    SnapshotParts parts = recorded(held_by_freeze());
    row.change(parts);
    const backup::Verdict verdict = backup::verdict_of(backup::evidence_of(parts, false));
    CHECK(verdict.level == Level::unknown);
    CHECK(std::any_of(verdict.reasons.begin(), verdict.reasons.end(),
                      [&](const std::string& reason) { return reason.find(row.reason) != std::string::npos; }));
  }
}

TEST_CASE("VolumeSnapshots only refine: without them the rest is compared") {
  SnapshotParts parts = recorded(held_by_freeze());
  parts.volume_snapshots.clear();
  CHECK(backup::verdict_of(backup::evidence_of(parts, false)).level == Level::filesystem);
}

TEST_CASE("evidence that cannot be read: unreadable and unknown, never inferred instead") {
  for (const char* text : {"", "{", "{\"v\":7}", "{\"v\":1,\"hold\":true}"}) {
    SnapshotParts parts = objects_of(held_by_freeze());
    parts.content->backups.pop_back();  // one disk: inferred it would be crash
    parts.snapshot.annotations = {{kubevirt::k_evidence_annotation, text}};
    const backup::SnapshotEvidence found = backup::evidence_of(parts, false);
    CHECK(found.source == EvidenceSource::unreadable);
    const backup::Verdict verdict = backup::verdict_of(found);
    CHECK(verdict.level == Level::unknown);
    CHECK(verdict.reasons.front().starts_with("the recorded evidence cannot be read: "));
    CHECK(backup::verdict_of(backup::evidence_of(parts, true)).level == Level::crash);
  }
}

TEST_CASE("offsets: beginnings are rounded down and ends up, before and after t0") {
  const base::TimePoint t0(1h);
  CHECK(backup::offset_of(t0, t0 + 1500us, backup::Edge::begin) == Offset(1));
  CHECK(backup::offset_of(t0, t0 + 1500us, backup::Edge::end) == Offset(2));
  CHECK(backup::offset_of(t0, t0 - 1500us, backup::Edge::begin) == Offset(-2));
  CHECK(backup::offset_of(t0, t0 - 1500us, backup::Edge::end) == Offset(-1));
}

TEST_CASE("recorded on a cluster and found again; on another object of the name it is refused") {
  FakeClock clock;
  FakeCluster cluster(clock);
  for (const json::Value& object : manifest_of({.ns = "prod", .name = "db-0"})) cluster.apply(object);
  cluster.settle();
  const json::Value body = kubevirt::encode(
      kubevirt::NewVmSnapshot{
          .ns = "prod", .name = "s1", .vm = "db-0", .failure_deadline = {}, .deletion_policy = {}, .labels = {}, .annotations = {}},
      "v1beta1");
  const base::Result<json::Value> created = cluster.create(kubevirt::vm_snapshots("v1beta1"), "prod", body, {}, {});
  REQUIRE(created.ok());
  Evidence evidence = held_by_freeze();
  evidence.snapshot_uid = "another";
  const kube::Name name{"prod", "s1"};
  const base::Result<void> refused = backup::record_evidence(cluster, "v1beta1", name, evidence, {}, {});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code() == base::ErrorCode::conflict);
  evidence.snapshot_uid = created->path({"metadata", "uid"}).as_string();
  CHECK(backup::record_evidence(cluster, "v1beta1", name, evidence, {}, {}).ok());
  const base::Result<json::Value> found = cluster.get(kubevirt::vm_snapshots("v1beta1"), name, {}, {});
  REQUIRE(found.ok());
  CHECK(found->path({"metadata", "annotations", kubevirt::k_evidence_annotation}).as_string() == *kubevirt::encode(evidence));
}

}  // namespace
