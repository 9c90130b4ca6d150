#include "kubevirt/storage.hpp"

#include <doctest/doctest.h>

namespace {

using namespace vmbackup;

json::Value parsed(const char* text) {
  const base::Result<json::Value> value = json::parse(text);
  REQUIRE(value.ok());
  return *value;
}

TEST_CASE("a claim: bound, its class, its DataVolume") {
  const auto claim = kubevirt::decode_claim(parsed(R"({"metadata": {"namespace": "a", "name": "c",
      "ownerReferences": [{"kind": "DataVolume", "name": "no"}, {"kind": "DataVolume", "name": "dv", "controller": true}]},
      "spec": {"storageClassName": "rig", "volumeMode": "Block"}, "status": {"phase": "Bound"}})"));
  REQUIRE(claim.ok());
  CHECK(claim->bound);
  CHECK_FALSE(claim->lost);
  CHECK_FALSE(claim->scheduled);
  CHECK_FALSE(claim->deleting);
  CHECK(claim->storage_class == "rig");
  CHECK(claim->volume_mode == "Block");
  CHECK(claim->data_volume == "dv");
  const auto bare = kubevirt::decode_claim(parsed(
      R"({"metadata": {"namespace": "a", "name": "c", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Pending"}})"));
  REQUIRE(bare.ok());
  CHECK(bare->deleting);
  CHECK_FALSE(bare->bound);
  CHECK_FALSE(bare->storage_class.has_value());
  CHECK(bare->data_volume.empty());
  CHECK_FALSE(kubevirt::decode_claim(parsed(R"({"metadata": {"name": "c"}, "status": {"phase": 1}})")).ok());
  CHECK(kubevirt::decode_claim(parsed(R"({"metadata": {"name": "c"}, "spec": {"volumeName": "v"}})"))->scheduled);
  CHECK(kubevirt::decode_claim(parsed(R"({"metadata": {"name": "c", "annotations": {"volume.kubernetes.io/selected-node": "n"}}})"))
            ->scheduled);
  CHECK(kubevirt::decode_claim(parsed(R"({"metadata": {"name": "c"}, "status": {"phase": "Lost"}})"))->lost);
}

TEST_CASE("classes and profiles") {
  CHECK(kubevirt::decode_storage_class(parsed(R"({"metadata": {"name": "rig"}, "provisioner": "csi"})"))->provisioner == "csi");
  CHECK_FALSE(kubevirt::decode_storage_class(parsed(R"({"metadata": {"name": "rig"}})")).ok());
  CHECK_FALSE(kubevirt::decode_storage_class(parsed(R"({"metadata": {"name": "rig"}, "provisioner": "csi"})"))->waits_for_consumer);
  CHECK(kubevirt::decode_storage_class(
            parsed(R"({"metadata": {"name": "rig"}, "provisioner": "csi", "volumeBindingMode": "WaitForFirstConsumer"})"))
            ->waits_for_consumer);
  const auto plain = kubevirt::decode_volume_snapshot_class(parsed(R"({"metadata": {"name": "s"}, "driver": "csi"})"));
  CHECK_FALSE(plain->says_default);
  const auto named = kubevirt::decode_volume_snapshot_class(parsed(
      R"({"metadata": {"name": "s", "annotations": {"snapshot.storage.kubernetes.io/is-default-class": "false"}}, "driver": "csi"})"));
  CHECK(named->says_default);
  CHECK(kubevirt::decode_storage_profile(parsed(R"({"metadata": {"name": "rig"}})"))->snapshot_class.empty());
  CHECK(kubevirt::decode_storage_profile(parsed(R"({"metadata": {"name": "rig"}, "status": {"snapshotClass": "s"}})"))->snapshot_class ==
        "s");
  CHECK(kubevirt::decode_data_volume(parsed(R"({"metadata": {"name": "d"}, "status": {"phase": "Succeeded"}})"))->succeeded());
  CHECK_FALSE(kubevirt::decode_data_volume(parsed(R"({"metadata": {"name": "d"}})"))->succeeded());
}

TEST_CASE("a pod: whose it is, and the claims it uses") {
  const auto pod = kubevirt::decode_pod(parsed(R"({"metadata": {"namespace": "a", "name": "p",
      "ownerReferences": [{"kind": "VirtualMachineInstance", "name": "db-0", "controller": true}]},
      "spec": {"volumes": [{"name": "x", "emptyDir": {}}, {"name": "y", "persistentVolumeClaim": {"claimName": "c1"}}]},
      "status": {"phase": "Running"}})"));
  REQUIRE(pod.ok());
  CHECK(pod->instance == "db-0");
  CHECK(pod->owner_pod.empty());
  CHECK_FALSE(pod->succeeded);
  CHECK_FALSE(pod->failed);
  CHECK_FALSE(pod->deleting);
  CHECK(pod->claims == std::vector<std::string>{"c1"});
  const auto hotplug = kubevirt::decode_pod(parsed(
      R"({"metadata": {"name": "hp", "ownerReferences": [{"kind": "Pod", "name": "p", "controller": true}]}, "status": {"phase": "Succeeded"}})"));
  CHECK(hotplug->owner_pod == "p");
  CHECK(hotplug->succeeded);
  const auto going = kubevirt::decode_pod(
      parsed(R"({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Failed"}})"));
  CHECK(going->failed);
  CHECK(going->deleting);
}

}  // namespace
