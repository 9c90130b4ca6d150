#include "kubevirt/vm_snapshot.hpp"

#include <doctest/doctest.h>

#include "base/text.hpp"

namespace {

using namespace vmbackup;

json::Value parsed(const std::string& text) {
  base::Result<json::Value> value = json::parse(text);
  REQUIRE(value.ok());
  return *value;
}

const char* const k_metadata = R"("metadata": {"namespace": "prod", "name": "s1", "uid": "u1", "creationTimestamp": "2026-01-02T03:04:05Z",
  "labels": {"kubectl-vmbackup/run": "r1"}})";

kubevirt::VmSnapshot snapshot_with(const std::string& status) {
  const json::Value object = parsed(std::string("{") + k_metadata +
                                    R"(, "spec": {"source": {"kind": "VirtualMachine", "name": "db-0"}}, "status": )" + status + "}");
  base::Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(object);
  REQUIRE(snapshot.ok());
  return *snapshot;
}

TEST_CASE("a snapshot that nobody took up yet") {
  const kubevirt::VmSnapshot snapshot = snapshot_with("null");
  CHECK(snapshot.phase == kubevirt::SnapshotPhase::none);
  CHECK_FALSE(snapshot.ready_to_use);
  CHECK(snapshot.source_name == "db-0");
  CHECK(snapshot.label("kubectl-vmbackup/run") == "r1");
  CHECK(snapshot.label("other").empty());
  CHECK_FALSE(snapshot.retains());
  CHECK(base::format_time(snapshot.created) == "2026-01-02T03:04:05.000Z");
}

TEST_CASE("phases, and what stands in the way") {
  struct Row {
    const char* status;
    kubevirt::SnapshotPhase phase;
    const char* obstacle;
  };
  using Phase = kubevirt::SnapshotPhase;
  const Row rows[] = {
      {R"({"phase": "InProgress", "conditions": [{"type": "Progressing", "status": "False", "reason": "Source not locked",
          "lastTransitionTime": null}]})",
       Phase::in_progress, "Source not locked"},
      {R"({"phase": "InProgress", "conditions": [{"type": "Progressing", "status": "True", "reason": "Source locked"}]})",
       Phase::in_progress, ""},
      {R"({"phase": "Succeeded", "conditions": [{"type": "Progressing", "status": "False", "reason": "Operation complete"}]})",
       Phase::succeeded, ""},
      {R"({"phase": "Failed", "conditions": [{"type": "Progressing", "status": "False", "reason": "Operation failed"},
          {"type": "Failure", "status": "True", "reason": "snapshot deadline exceeded"}]})",
       Phase::failed, "snapshot deadline exceeded"},
      {R"({"phase": "Deleting"})", Phase::deleting, ""},
      {R"({"phase": "Brand new"})", Phase::unknown, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.status);
    const kubevirt::VmSnapshot snapshot = snapshot_with(row.status);
    CHECK(snapshot.phase == row.phase);
    CHECK(snapshot.obstacle() == row.obstacle);
  }
}

TEST_CASE("indications are kept as they are, unknown ones too, from both lists once each") {
  const kubevirt::VmSnapshot snapshot = snapshot_with(R"({"indications": ["Online", "GuestAgent"],
    "sourceIndications": [{"indication": "GuestAgent", "message": "m"}, {"indication": "SomethingNew", "message": "m"}]})");
  CHECK(snapshot.indications == std::vector<std::string>{"Online", "GuestAgent", "SomethingNew"});
}

TEST_CASE("what any word but Delete means") {
  json::Value object = parsed(std::string("{") + k_metadata + R"(, "spec": {"deletionPolicy": "Sometimes"}})");
  base::Result<kubevirt::VmSnapshot> snapshot = kubevirt::decode_vm_snapshot(object);
  REQUIRE(snapshot.ok());
  CHECK(snapshot->retains());
}

TEST_CASE("a create holds what was asked for and nothing else") {
  kubevirt::NewVmSnapshot fresh;
  fresh.ns = "prod";
  fresh.name = "s1";
  fresh.vm = "db-0";
  const char* const bare = R"({"apiVersion":"snapshot.kubevirt.io/v1beta1","kind":"VirtualMachineSnapshot","metadata":{"name":"s1",)"
                           R"("namespace":"prod"},"spec":{"source":{"apiGroup":"kubevirt.io","kind":"VirtualMachine","name":"db-0"}}})";
  CHECK(json::dump(kubevirt::encode(fresh, "v1beta1")) == bare);
  fresh.failure_deadline = "1m30s";
  fresh.deletion_policy = "Retain";
  fresh.labels = {{"a", "b"}};
  const json::Value full = kubevirt::encode(fresh, "v1alpha1");
  CHECK(full.path({"apiVersion"}).as_string() == "snapshot.kubevirt.io/v1alpha1");
  CHECK(full.path({"spec", "failureDeadline"}).as_string() == "1m30s");
  CHECK(full.path({"spec", "deletionPolicy"}).as_string() == "Retain");
  CHECK(full.path({"metadata", "labels", "a"}).as_string() == "b");
}

TEST_CASE("a content: backups in order, cuts, the VM's volumes of that time") {
  const json::Value object = parsed(R"({"metadata": {"namespace": "prod", "name": "vmsnapshot-content-u1", "uid": "c1"},
    "spec": {"virtualMachineSnapshotName": "s1",
      "source": {"virtualMachine": {"spec": {"template": {"spec": {"volumes": [{"name": "root", "dataVolume": {"name": "r"}}]}}}}},
      "volumeBackups": [
        {"volumeName": "root", "volumeSnapshotName": "vs-root", "persistentVolumeClaim": {"metadata": {"name": "r"}, "spec": {"storageClassName": "rig"}}},
        {"volumeName": "data", "persistentVolumeClaim": {"metadata": {"name": "d"}, "spec": {}}}]},
    "status": {"readyToUse": false, "error": {"message": "boom"},
      "volumeSnapshotStatus": [{"volumeSnapshotName": "vs-root", "creationTime": "2026-01-02T03:04:06Z", "readyToUse": true}]}})");
  const base::Result<kubevirt::VmSnapshotContent> content = kubevirt::decode_vm_snapshot_content(object);
  REQUIRE(content.ok());
  CHECK(content->name == kubevirt::content_name_of("u1"));
  REQUIRE(content->backups.size() == 2);
  CHECK(content->backups[0].volume == "data");
  CHECK(content->backups[0].volume_snapshot.empty());
  CHECK(content->backups[1].storage_class == "rig");
  REQUIRE(content->cuts.size() == 1);
  CHECK(content->cuts[0].creation_time.has_value());
  CHECK(content->error == "boom");
  REQUIRE(content->vm_volumes.size() == 1);
  CHECK(content->vm_volumes[0].claim == "r");
}

TEST_CASE("a VolumeSnapshot before and after its cut") {
  const char* const before = R"({"metadata": {"namespace": "p", "name": "n", "uid": "u"},
    "spec": {"source": {"persistentVolumeClaimName": "c"}, "volumeSnapshotClassName": "rig-snap"}, "status": {"readyToUse": false}})";
  base::Result<kubevirt::VolumeSnapshot> snapshot = kubevirt::decode_volume_snapshot(parsed(before));
  REQUIRE(snapshot.ok());
  CHECK_FALSE(snapshot->creation_time.has_value());
  CHECK(snapshot->snapshot_class == "rig-snap");
  CHECK(snapshot->claim == "c");
  const char* const after = R"({"metadata": {"namespace": "p", "name": "n", "uid": "u"},
    "status": {"readyToUse": true, "creationTime": "2026-01-02T03:04:06Z", "restoreSize": "1Gi", "error": {"message": "old"}}})";
  snapshot = kubevirt::decode_volume_snapshot(parsed(after));
  REQUIRE(snapshot.ok());
  CHECK(snapshot->creation_time.has_value());
  CHECK(snapshot->ready_to_use);
  CHECK(snapshot->restore_size == 1073741824);
  CHECK(snapshot->error == "old");
}

}  // namespace
