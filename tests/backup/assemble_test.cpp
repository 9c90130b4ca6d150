#include "backup/assemble.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace {

using namespace vmbackup;

kubevirt::VmSnapshot succeeded() {
  kubevirt::VmSnapshot snapshot;
  snapshot.ns = "prod";
  snapshot.name = "s1";
  snapshot.uid = "u1";
  snapshot.source_name = "db-0";
  snapshot.phase = kubevirt::SnapshotPhase::succeeded;
  snapshot.phase_text = "Succeeded";
  snapshot.ready_to_use = true;
  snapshot.included_volumes = {"root"};
  snapshot.excluded_volumes = {"init"};
  return snapshot;
}

kubevirt::VmSnapshotContent content_of(std::vector<kubevirt::Volume> volumes, std::vector<kubevirt::VolumeBackup> backups) {
  kubevirt::VmSnapshotContent content;
  content.ns = "prod";
  content.name = "vmsnapshot-content-u1";
  content.vm_volumes = std::move(volumes);
  content.backups = std::move(backups);
  return content;
}

using Kind = kubevirt::Volume::Kind;
const kubevirt::Volume k_root{"root", Kind::data_volume, "dataVolume", "db-0-root"};
const kubevirt::Volume k_data{"data", Kind::persistent_volume_claim, "persistentVolumeClaim", "db-0-data"};
const kubevirt::Volume k_init{"init", Kind::configuration, "cloudInitNoCloud", ""};
const kubevirt::Volume k_scratch{"scratch", Kind::ephemeral, "emptyDisk", ""};
const kubevirt::Volume k_host{"host", Kind::host_disk, "hostDisk", ""};

const backup::DiskReport& disk(const backup::SnapshotItem& item, const std::string& name) {
  const auto found = std::find_if(item.disks.begin(), item.disks.end(), [&](const backup::DiskReport& d) { return d.name == name; });
  REQUIRE(found != item.disks.end());
  return *found;
}

TEST_CASE("all disks that count are in: complete, whatever is left out beside them") {
  backup::SnapshotParts parts{succeeded(), content_of({k_root, k_init, k_scratch}, {{"root", "db-0-root", "rig", "vs-root"}}), {}, {}};
  const backup::SnapshotItem item = backup::assemble(parts);
  CHECK(item.complete);
  CHECK(item.reasons.empty());
  REQUIRE(item.disks.size() == 2);  // configuration is no disk
  CHECK(disk(item, "root").volume_snapshot == "vs-root");
  CHECK_FALSE(disk(item, "scratch").included);
  CHECK(disk(item, "scratch").reason == "emptyDisk keeps nothing over a restart");
}

TEST_CASE("a disk that the guest writes and that is not in: incomplete, and named") {
  for (const kubevirt::Volume& left_out : {k_data, k_host}) {
    CAPTURE(left_out.name);
    backup::SnapshotParts parts{succeeded(), content_of({k_root, left_out}, {{"root", "db-0-root", "rig", "vs-root"}}), {}, {}};
    const backup::SnapshotItem item = backup::assemble(parts);
    CHECK_FALSE(item.complete);
    REQUIRE(item.reasons.size() == 1);
    CHECK(item.reasons[0].find("disk " + left_out.name + " is not in the snapshot") == 0);
  }
}

TEST_CASE("a backup without a VolumeSnapshot is not included, though KubeVirt lists the volume") {
  kubevirt::VmSnapshot snapshot = succeeded();
  snapshot.included_volumes = {"root", "data"};
  backup::SnapshotParts parts{
      snapshot, content_of({k_root, k_data}, {{"data", "db-0-data", "plain", ""}, {"root", "db-0-root", "rig", "vs"}}), {}, {}};
  const backup::SnapshotItem item = backup::assemble(parts);
  CHECK_FALSE(disk(item, "data").included);
  CHECK_FALSE(item.complete);
}

TEST_CASE("a succeeded snapshot with nothing in it is never complete") {
  kubevirt::VmSnapshot snapshot = succeeded();
  snapshot.included_volumes.clear();
  backup::SnapshotParts parts{snapshot, content_of({k_scratch}, {}), {}, {}};
  const backup::SnapshotItem item = backup::assemble(parts);
  CHECK_FALSE(item.complete);
  CHECK(std::count(item.reasons.begin(), item.reasons.end(), "the snapshot holds no disk") == 1);
}

TEST_CASE("without the content only names are known, and completeness is not") {
  backup::SnapshotParts parts{succeeded(), {}, {}, {}};
  const backup::SnapshotItem item = backup::assemble(parts);
  CHECK_FALSE(item.complete);
  CHECK(disk(item, "root").included);
  REQUIRE(item.reasons.size() == 1);
  CHECK(item.reasons[0].find("not known") != std::string::npos);
}

TEST_CASE("the plan stands in until the objects speak, and keeps its reasons") {
  backup::SnapshotParts parts{succeeded(), {}, {}, {}};
  parts.snapshot.phase = kubevirt::SnapshotPhase::in_progress;
  parts.snapshot.included_volumes.clear();
  parts.planned = {
      {.name = "root", .source = "dataVolume", .claim = "c", .included = true},
      {.name = "data", .source = "persistentVolumeClaim", .claim = "d", .included = false, .reason = "no VolumeSnapshotClass"}};
  CHECK(disk(backup::assemble(parts), "root").included);
  CHECK_FALSE(backup::assemble(parts).complete);

  parts.snapshot = succeeded();
  const backup::SnapshotItem item = backup::assemble(parts);
  CHECK(disk(item, "data").reason == "no VolumeSnapshotClass");
  CHECK_FALSE(item.complete);
  CHECK(item.reasons.size() == 1);
}

TEST_CASE("cut times come from the content, classes and errors from the VolumeSnapshots") {
  kubevirt::VmSnapshotContent content = content_of({k_root}, {{"root", "db-0-root", "rig", "vs-root"}});
  const base::WallTime cut{std::chrono::seconds(1000)};
  content.cuts = {{"vs-root", cut, false, ""}};
  backup::SnapshotParts parts{succeeded(), content, {}, {}};
  CHECK(disk(backup::assemble(parts), "root").cut_time == cut);
  CHECK(backup::unfinished_disks(parts, false).empty());
  CHECK(backup::unfinished_disks(parts, true) == std::vector<std::string>{"root"});

  kubevirt::VolumeSnapshot volume;
  volume.name = "vs-root";
  volume.snapshot_class = "rig-snap";
  volume.ready_to_use = true;
  parts.volume_snapshots = {volume};
  CHECK(disk(backup::assemble(parts), "root").snapshot_class == "rig-snap");
  CHECK(backup::unfinished_disks(parts, true).empty());
}

TEST_CASE("the persistent state that KubeVirt adds by itself is a disk of its own") {
  backup::SnapshotParts parts{
      succeeded(), content_of({k_root}, {{"persistent-state-for-db-0", "ps", "rig", "vs2"}, {"root", "r", "rig", "vs"}}), {}, {}};
  CHECK(disk(backup::assemble(parts), "persistent-state-for-db-0").source == "backendStorage");
}

TEST_CASE("a VM that keeps the state of TPM or firmware is not complete without it, whether it was planned or not") {
  kubevirt::VmSnapshot snapshot = succeeded();
  snapshot.excluded_volumes = {"persistent-state-for-db-0"};
  backup::SnapshotParts parts{snapshot, content_of({k_root}, {{"root", "r", "rig", "vs"}}), {}, {}};
  CHECK(backup::assemble(parts).complete);  // of changed blocks alone: nothing that a restore needs
  parts.content->persistent_state = true;
  const backup::SnapshotItem left_out = backup::assemble(parts);
  CHECK_FALSE(left_out.complete);
  CHECK(left_out.reasons == std::vector<std::string>{"disk persistent-state-for-db-0 is not in the snapshot: KubeVirt left it out"});
  parts.planned = {backup::disk_of(k_root)};
  CHECK_FALSE(backup::assemble(parts).complete);
  parts.content->backups.push_back({"persistent-state-for-db-0", "ps", "rig", "vs2"});
  CHECK(backup::assemble(parts).complete);
}

TEST_CASE("the state in words") {
  kubevirt::VmSnapshot snapshot = succeeded();
  CHECK(backup::state_in_words(snapshot) == "VirtualMachineSnapshot prod/s1, Succeeded");
  snapshot.ready_to_use = false;
  CHECK(backup::state_in_words(snapshot) == "VirtualMachineSnapshot prod/s1, Succeeded, not ready to use");
  snapshot.phase_text.clear();
  snapshot.phase = kubevirt::SnapshotPhase::none;
  CHECK(backup::state_in_words(snapshot) == "VirtualMachineSnapshot prod/s1, not taken up yet");
  snapshot.deleting = true;
  CHECK(backup::state_in_words(snapshot) == "VirtualMachineSnapshot prod/s1, being deleted");
}

}  // namespace
