#include "backup/hindrance.hpp"

#include <doctest/doctest.h>

#include <functional>

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::Hindrance;
using backup::SnapshotParts;
using Kind = Hindrance::Kind;

std::string csi_error(const std::string& code, const std::string& words = "no") {
  return "Failed to check and update snapshot content: failed to take snapshot of the volume pvc-1: \"rpc error: code = " + code +
         " desc = " + words + "\"";
}

// A snapshot of a running VM with an agent and the disks a and b, whose VolumeSnapshots are there and not cut.
SnapshotParts under_way() {
  SnapshotParts parts;
  parts.snapshot.ns = "prod";
  parts.snapshot.name = "s1";
  parts.snapshot.uid = "u";
  parts.snapshot.source_name = "db-0";
  parts.snapshot.phase = kubevirt::SnapshotPhase::in_progress;
  parts.snapshot.phase_text = "InProgress";
  parts.snapshot.indications = {"GuestAgent", "Online"};
  parts.snapshot.content_name = "content";
  parts.snapshot.conditions = {{"Progressing", "True", "Source locked and operation in progress", ""}};
  kubevirt::VmSnapshotContent& content = parts.content.emplace();
  for (const char* volume : {"a", "b"}) {
    kubevirt::Volume disk;
    disk.name = volume;
    disk.kind = kubevirt::Volume::Kind::persistent_volume_claim;
    content.vm_volumes.push_back(disk);
    kubevirt::VolumeSnapshot snapshot;
    snapshot.name = std::string("vs-") + volume;
    content.backups.push_back({volume, std::string("claim-") + volume, "rig", snapshot.name});
    parts.volume_snapshots.push_back(snapshot);
  }
  return parts;
}

// Before KubeVirt has made a content, with this reason of the condition Progressing.
SnapshotParts not_begun(const std::string& status, const std::string& reason) {
  SnapshotParts parts = under_way();
  parts.content.reset();
  parts.volume_snapshots.clear();
  parts.snapshot.content_name.clear();
  parts.snapshot.conditions = {{"Ready", "False", "Not ready", ""}, {"Progressing", status, reason, ""}};
  return parts;
}

SnapshotParts with(const std::function<void(SnapshotParts&)>& change) {
  SnapshotParts parts = under_way();
  change(parts);
  return parts;
}

SnapshotParts with_error(int disk, const std::string& error) {
  return with([&](SnapshotParts& parts) { parts.volume_snapshots.at(static_cast<std::size_t>(disk)).error = error; });
}

Hindrance found_in(const SnapshotParts& parts) { return backup::hindrance_of(parts, backup::assemble(parts)); }

TEST_CASE("what stands in the way of a snapshot") {
  const base::WallTime cut{1s};
  const auto cut_all = [&](SnapshotParts& parts) {
    for (kubevirt::VolumeSnapshot& each : parts.volume_snapshots) each.creation_time = cut;
  };
  const auto done = [](SnapshotParts& parts) { parts.snapshot.phase = kubevirt::SnapshotPhase::succeeded; };
  struct Row {
    const char* what;
    SnapshotParts parts;
    Kind kind;
    const char* cause;  // a part of it
  };
  const Row rows[] = {
      {"under way", under_way(), Kind::none, ""},
      {"an error of the storage", with_error(0, csi_error("Internal", "broken")), Kind::failing, "disk a: Failed to check"},
      {"of an unknown code", with_error(1, csi_error("Strange")), Kind::failing, "disk b: "},
      {"with no code", with_error(0, "Failed to get snapshot class"), Kind::failing, "Failed to get"},
      {"a full storage may be emptied", with_error(0, csi_error("ResourceExhausted")), Kind::failing, ""},
      {"a state that may change", with_error(0, csi_error("FailedPrecondition")), Kind::failing, ""},
      {"out of range is no word of CSI's for a cut", with_error(0, csi_error("OutOfRange")), Kind::failing, ""},
      {"a wrong request", with_error(0, csi_error("InvalidArgument")), Kind::refused, "disk a: "},
      {"a taken name", with_error(0, csi_error("AlreadyExists")), Kind::refused, ""},
      {"no right", with_error(0, csi_error("PermissionDenied")), Kind::refused, ""},
      {"no such call", with_error(0, csi_error("Unimplemented")), Kind::refused, ""},
      {"no identity", with_error(0, csi_error("Unauthenticated")), Kind::refused, ""},
      {"a longer word that begins the same", with_error(0, csi_error("InvalidArgumentX")), Kind::failing, ""},
      {"the outer code counts", with_error(0, csi_error("Internal", "rpc error: code = InvalidArgument desc = x")), Kind::failing, ""},
      {"still at it", with_error(0, csi_error("DeadlineExceeded")), Kind::passing, ""},
      {"pending", with_error(0, csi_error("Aborted")), Kind::passing, ""},
      {"away", with_error(0, csi_error("Unavailable")), Kind::passing, ""},
      {"cancelled", with_error(0, csi_error("Canceled")), Kind::passing, ""},
      {"the worst of several", with([](SnapshotParts& parts) {
         parts.volume_snapshots[0].error = csi_error("Aborted");
         parts.volume_snapshots[1].error = csi_error("Unimplemented");
       }),
       Kind::refused, "disk b: "},
      {"an old error on a disk that is cut", with([&](SnapshotParts& parts) {
         parts.volume_snapshots[0].error = csi_error("InvalidArgument");
         parts.volume_snapshots[0].creation_time = cut;
       }),
       Kind::none, ""},
      {"the content repeats a disk's error", with([&](SnapshotParts& parts) {
         parts.content->error = "VolumeSnapshot vs-a error: " + csi_error("Internal");
         parts.volume_snapshots[0].creation_time = cut;
       }),
       Kind::none, ""},
      {"the disk's error as the content has it", with([](SnapshotParts& parts) {
         parts.volume_snapshots.clear();
         parts.content->cuts = {{"vs-a", std::nullopt, false, csi_error("Internal")}};
       }),
       Kind::failing, "disk a: "},
      {"no content may be read, and the snapshot repeats a disk's error", with([](SnapshotParts& parts) {
         parts.content.reset();
         parts.snapshot.error = "VolumeSnapshot vs-a error: " + csi_error("Internal");
       }),
       Kind::none, ""},
      {"a freeze that fails", with([](SnapshotParts& parts) { parts.content->error = "command Freeze failed: busy"; }), Kind::failing,
       "command Freeze failed: busy"},
      {"the same where no content may be read", with([](SnapshotParts& parts) {
         parts.content.reset();
         parts.snapshot.error = "command Freeze failed: busy";
       }),
       Kind::failing, "command Freeze failed: busy"},
      {"a migration", with([](SnapshotParts& parts) { parts.content->error = "failed to freeze VMI, VMI is currently during migration"; }),
       Kind::passing, ""},
      {"all cut, not finished", with(cut_all), Kind::unfinished, "cannot thaw"},
      {"one disk is not cut", with([&](SnapshotParts& parts) { parts.volume_snapshots[1].creation_time = cut; }), Kind::none, ""},
      {"without an agent there is nothing to thaw", with([&](SnapshotParts& parts) {
         cut_all(parts);
         parts.snapshot.indications = {"NoGuestAgent", "Online"};
       }),
       Kind::none, ""},
      {"nor of a paused one", with([&](SnapshotParts& parts) {
         cut_all(parts);
         parts.snapshot.indications = {"GuestAgent", "Online", "Paused"};
       }),
       Kind::none, ""},
      {"locked, nothing made", not_begun("True", "Source locked and operation in progress"), Kind::unbegun, ""},
      {"no VM", not_begun("False", "Source does not exist"), Kind::no_source, "its VM db-0 does not exist"},
      {"another snapshot", not_begun("False", "Source not locked snapshot \"s0\" in progress"), Kind::locked, ""},
      {"a disk that is not there", not_begun("False", "Source not locked source prod/db-0 volume doesnt exist: d1"), Kind::failing, "d1"},
      {"a disk that goes", not_begun("False", "Source not locked source prod/db-0 volume is being deleted: d1"), Kind::failing, "d1"},
      {"a disk that is being filled", not_begun("False", "Source not locked source prod/db-0 volume not populated: d1"), Kind::passing, ""},
      {"a disk that is not bound", not_begun("False", "Source not locked source prod/db-0 volume not bound: d1"), Kind::passing, ""},
      {"pods", not_begun("False", "Source not locked source is offline but 1 pods using PVCs [d1]"), Kind::passing, ""},
      {"just made", not_begun("False", "Source not locked"), Kind::passing, ""},
      {"cut, and lost", with([&](SnapshotParts& parts) {
         done(parts);
         parts.snapshot.error = "VolumeSnapshots (vs-a) missing";
       }),
       Kind::missing, "vs-a"},
      {"cut, with an error while it is uploaded", with([&](SnapshotParts& parts) {
         done(parts);
         cut_all(parts);
         parts.volume_snapshots[0].error = csi_error("InvalidArgument");
       }),
       Kind::none, ""},
      {"failed", with([](SnapshotParts& parts) {
         parts.snapshot.phase = kubevirt::SnapshotPhase::failed;
         parts.volume_snapshots[0].error = csi_error("InvalidArgument");
       }),
       Kind::none, ""},
      {"being deleted", with([](SnapshotParts& parts) {
         parts.snapshot.deleting = true;
         parts.volume_snapshots[0].error = csi_error("InvalidArgument");
       }),
       Kind::none, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const Hindrance found = found_in(row.parts);
    CHECK(static_cast<int>(found.kind) == static_cast<int>(row.kind));
    CHECK_MESSAGE(found.cause.find(row.cause) != std::string::npos, found.cause);
  }
}

TEST_CASE("the same error: whatever stands in front of it, and for a refusal whatever its words are") {
  const std::string words = "failed to take snapshot of the volume pvc-1: \"rpc error: code = Internal desc = x\"";
  CHECK(found_in(with_error(0, "Failed to create snapshot: " + words)) ==
        found_in(with_error(0, "Failed to check and update snapshot content: " + words)));
  CHECK_FALSE(found_in(with_error(0, csi_error("Internal", "request 1"))) == found_in(with_error(0, csi_error("Internal", "request 2"))));
  CHECK(found_in(with_error(0, csi_error("InvalidArgument", "request 1"))) ==
        found_in(with_error(0, csi_error("InvalidArgument", "request 2"))));
  CHECK_FALSE(found_in(with_error(0, csi_error("Internal"))) == found_in(with_error(1, csi_error("Internal"))));
  CHECK_FALSE(found_in(with_error(0, csi_error("InvalidArgument"))) == found_in(with_error(0, csi_error("PermissionDenied"))));
}

TEST_CASE("how long each is waited for") {
  for (const Kind kind : {Kind::none, Kind::passing}) CHECK_FALSE(backup::patience_with(kind).has_value());
  for (const Kind kind : {Kind::failing, Kind::unfinished}) CHECK(backup::patience_with(kind) == 60s);
  for (const Kind kind : {Kind::refused, Kind::unbegun, Kind::locked, Kind::no_source, Kind::missing}) {
    CHECK(backup::patience_with(kind) == 10s);
  }
}

TEST_CASE("what is said of it") {
  SnapshotParts parts = with_error(0, csi_error("Internal", "broken"));
  base::Error error = backup::standing_error(parts, found_in(parts));
  CHECK(error.code() == base::ErrorCode::internal);
  CHECK(error.message() == "VirtualMachineSnapshot prod/s1 is stuck: disk a: " + csi_error("Internal", "broken") +
                               "; unchanged for 1m, and KubeVirt alone would go on trying until its failure deadline of 5m");
  CHECK(error.hint() == "go on waiting for it with: kubectl vmbackup wait vmsnapshot/s1 -n prod --wait-on-error");
  parts.snapshot.failure_deadline = "1h";
  error = backup::standing_error(parts, found_in(parts));
  CHECK(error.message().ends_with("until its failure deadline of 1h"));
  parts.snapshot.failure_deadline = "0";
  error = backup::standing_error(parts, found_in(parts));
  CHECK(error.message().ends_with("would go on trying without end"));
  error = backup::standing_error(parts, {Kind::missing, "VolumeSnapshots (vs-a) missing", {}, {}});
  CHECK(error.message() == "VirtualMachineSnapshot prod/s1 is of no use any more: VolumeSnapshots (vs-a) missing");
  CHECK(error.hint() == "remove it with: kubectl vmbackup delete s1 -n prod");
}

TEST_CASE("a class that KubeVirt cannot choose") {
  kubevirt::VirtualMachine vm;
  vm.snapshot_support = {{"a", true, ""}, {"b", false, "No VolumeSnapshotClass: ..."}};
  CHECK(backup::class_ambiguity(vm).empty());
  vm.snapshot_support.push_back({"c", false, "2 matching VolumeSnapshotClasses for rig"});
  CHECK(backup::class_ambiguity(vm) == "KubeVirt cannot choose a VolumeSnapshotClass for disk c: 2 matching VolumeSnapshotClasses for rig");
}

}  // namespace
