#include "kubevirt/virtual_machine.hpp"

#include <doctest/doctest.h>

namespace {

using namespace vmbackup;

json::Value parsed(const char* text) {
  base::Result<json::Value> value = json::parse(text);
  REQUIRE(value.ok());
  return *value;
}

TEST_CASE("a virtual machine: volumes by kind, locks, snapshot support") {
  const json::Value object = parsed(R"({
    "metadata": {"namespace": "prod", "name": "db-0", "uid": "u1"},
    "spec": {"dataVolumeTemplates": [{"metadata": {"name": "db-0-root"}, "spec": {}}], "template": {"spec": {"volumes": [
      {"name": "root", "dataVolume": {"name": "db-0-root"}},
      {"name": "data", "persistentVolumeClaim": {"claimName": "db-0-data"}},
      {"name": "dump", "memoryDump": {"claimName": "db-0-dump"}},
      {"name": "host", "hostDisk": {"path": "/x", "type": "Disk"}},
      {"name": "image", "containerDisk": {"image": "i"}},
      {"name": "init", "cloudInitNoCloud": {"userData": "x"}}]}}},
    "status": {"printableStatus": "Running", "snapshotInProgress": "s1", "restoreInProgress": null,
      "volumeSnapshotStatuses": [{"name": "root", "enabled": true}, {"name": "data", "enabled": false, "reason": "PVC not found"}]}})");
  const base::Result<kubevirt::VirtualMachine> vm = kubevirt::decode_virtual_machine(object);
  REQUIRE(vm.ok());
  CHECK(vm->ns == "prod");
  CHECK(vm->printable_status == "Running");
  CHECK(vm->snapshot_in_progress == "s1");
  CHECK(vm->restore_in_progress.empty());
  CHECK_FALSE(vm->deleting);
  REQUIRE(vm->volumes.size() == 6);
  using Kind = kubevirt::Volume::Kind;
  const Kind kinds[] = {Kind::data_volume,  Kind::persistent_volume_claim, Kind::memory_dump, Kind::host_disk, Kind::ephemeral,
                        Kind::configuration};
  for (std::size_t i = 0; i < 6; ++i) CHECK(vm->volumes[i].kind == kinds[i]);
  CHECK(vm->volumes[0].claim == "db-0-root");
  CHECK(vm->volumes[1].claim == "db-0-data");
  CHECK(vm->volumes[2].claim == "db-0-dump");
  CHECK(vm->volumes[3].claim.empty());
  CHECK(vm->volumes[5].source == "cloudInitNoCloud");
  CHECK(vm->data_volume_templates == std::vector<std::string>{"db-0-root"});
  REQUIRE(vm->snapshot_support.size() == 2);
  CHECK(vm->snapshot_support[0].enabled);
  CHECK(vm->snapshot_support[1].reason == "PVC not found");
}

TEST_CASE("a virtual machine that is being deleted, and one that is malformed") {
  const base::Result<kubevirt::VirtualMachine> going = kubevirt::decode_virtual_machine(
      parsed(R"({"metadata": {"namespace": "a", "name": "b", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"}})"));
  REQUIRE(going.ok());
  CHECK(going->deleting);

  const base::Result<kubevirt::VirtualMachine> bad = kubevirt::decode_virtual_machine(
      parsed(R"({"metadata": {"namespace": "a", "name": "b", "uid": "u"}, "status": {"printableStatus": {}}})"));
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.error().code() == base::ErrorCode::invalid);
  CHECK(bad.error().message().find("VirtualMachine a/b") != std::string::npos);
  CHECK(bad.error().message().find("status.printableStatus") != std::string::npos);
}

TEST_CASE("an instance: conditions, migration, hot-plugged volumes") {
  struct Row {
    const char* status;
    bool agent;
    bool paused;
    bool migrating;
    bool final;
  };
  const Row rows[] = {
      {R"({"phase": "Running", "conditions": [{"type": "AgentConnected", "status": "True"}]})", true, false, false, false},
      {R"({"phase": "Running", "conditions": [{"type": "AgentConnected", "status": "False"}]})", false, false, false, false},
      {R"({"phase": "Running", "conditions": [{"type": "Paused", "status": "True", "lastProbeTime": null}]})", false, true, false, false},
      {R"({"phase": "Running", "migrationState": {"startTimestamp": "2026-01-01T00:00:00Z"}})", false, false, true, false},
      {R"({"phase": "Running", "migrationState": {"completed": true}})", false, false, false, false},
      {R"({"phase": "Running", "migrationState": {"endTimestamp": "2026-01-01T00:00:00Z"}})", false, false, false, false},
      {R"({"phase": "Succeeded"})", false, false, false, true},
      {R"({"phase": "Failed"})", false, false, false, true},
      {R"({})", false, false, false, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.status);
    json::Value object = parsed(R"({"metadata": {"namespace": "a", "name": "b", "uid": "u"}})");
    object.set("status", parsed(row.status));
    const base::Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(object);
    REQUIRE(vmi.ok());
    CHECK(vmi->agent_connected == row.agent);
    CHECK(vmi->paused == row.paused);
    CHECK(vmi->migrating == row.migrating);
    CHECK(vmi->final() == row.final);
  }
  const base::Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(parsed(
      R"({"metadata": {"namespace": "a", "name": "b", "uid": "u"}, "status": {"fsFreezeStatus": "frozen", "guestOSInfo": {"id": "debian"},
          "volumeStatus": [{"name": "root"}, {"name": "extra", "hotplugVolume": {"attachPodName": "p"}}]}})"));
  REQUIRE(vmi.ok());
  CHECK(vmi->fs_freeze_status == "frozen");
  CHECK(vmi->guest_os_id == "debian");
  CHECK(vmi->hotplugged == std::vector<std::string>{"extra"});
}

TEST_CASE("an instance: its disks with their names in libvirt, and its pod") {
  json::Value object = parsed(R"({"metadata": {"namespace": "a", "name": "b", "uid": "u"},
      "spec": {"volumes": [{"name": "root", "persistentVolumeClaim": {"claimName": "root-claim"}},
                           {"name": "extra", "dataVolume": {"name": "extra-claim"}}, {"name": "cloud", "cloudInitNoCloud": {}}],
               "domain": {"devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}, "serial": "R1"},
                                                {"name": "cloud", "cdrom": {"bus": "sata"}}, {"name": "extra", "disk": {"bus": "scsi"}}]}}},
      "status": {"nodeName": "n1", "activePods": {"p1": "n1", "p2": "n2"},
                 "volumeStatus": [{"name": "cloud", "target": "sda"}, {"name": "root", "target": "vda"},
                                  {"name": "extra", "target": "", "hotplugVolume": {}}]}})");
  base::Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(object);
  REQUIRE(vmi.ok());
  CHECK(vmi->volumes[1].claim == "extra-claim");
  REQUIRE(vmi->disks.size() == 3);
  CHECK(vmi->disks[0].target == "vda");
  CHECK(vmi->disks[0].serial == "R1");
  CHECK_FALSE(vmi->disks[0].cdrom);
  CHECK(vmi->disks[1].cdrom);
  CHECK(vmi->disks[2].target.empty());
  CHECK(vmi->disks[2].serial.empty());
  CHECK(vmi->active_pod == "p1");
  object["status"]["activePods"].set("p2", "n1");
  CHECK(kubevirt::decode_virtual_machine_instance(object)->active_pod.empty());
  object["status"].erase("nodeName");
  CHECK(kubevirt::decode_virtual_machine_instance(object)->active_pod.empty());
}

}  // namespace
