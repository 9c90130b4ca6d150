#include "backup/plan_disks.hpp"

#include <doctest/doctest.h>

namespace {

using namespace vmbackup;
using Kind = kubevirt::Volume::Kind;

kubevirt::VirtualMachine vm_with(std::vector<kubevirt::VolumeSnapshotSupport> support) {
  kubevirt::VirtualMachine vm;
  vm.ns = "prod";
  vm.name = "db-0";
  vm.printable_status = "Stopped";
  vm.volumes = {{"root", Kind::persistent_volume_claim, "persistentVolumeClaim", "db-0-root"}};
  vm.snapshot_support = std::move(support);
  return vm;
}

const kube::Name k_vm{"prod", "db-0"};

}  // namespace

TEST_CASE("a VM that keeps the state of TPM or firmware has a disk more, which counts") {
  kubevirt::VirtualMachine vm = vm_with({{"root", true, ""}});
  CHECK(backup::plan_disks(vm).size() == 1);
  vm.persistent_state = true;
  const std::vector<backup::DiskReport> disks = backup::plan_disks(vm);
  REQUIRE(disks.size() == 2);
  CHECK(disks[1].name == "persistent-state-for-db-0");
  CHECK(disks[1].source == backup::k_backend_storage);
  CHECK(disks[1].included);
  CHECK(disks[1].counts);
  CHECK(disks[1].file_system == false);
  CHECK_FALSE(disks[1].reach.empty());
  vm.snapshot_support.push_back({"persistent-state-for-db-0", false, "No VolumeSnapshotClass: none for this [plain]"});
  CHECK_FALSE(backup::plan_disks(vm)[1].included);
  CHECK(backup::plan_disks(vm)[1].reason == "no VolumeSnapshotClass: none for this [plain]");
}

TEST_CASE("maps of changed blocks alone are in the snapshot, and nothing that a restore would lack") {
  const std::vector<backup::DiskReport> disks = backup::plan_disks(vm_with({{"root", true, ""}, {"persistent-state-for-db-0", true, ""}}));
  REQUIRE(disks.size() == 2);
  CHECK(disks[1].included);
  CHECK_FALSE(disks[1].counts);
}

TEST_CASE("without its claim KubeVirt waits: for ever where the VM does not start") {
  kubevirt::VirtualMachine vm = vm_with({});
  vm.persistent_state = true;
  backup::DiskFacts facts;
  const auto check = [&](bool has_instance) {
    backup::SnapshotPlan plan;
    plan.disks = backup::plan_disks(vm);
    backup::add_facts(facts, vm, plan);
    const std::vector<base::Error> never = backup::check_disks(facts, vm, "VM prod/db-0", has_instance, plan);
    return std::pair(never.size(), plan.waits);
  };
  // Claims may not be read: nothing is known.
  CHECK(check(false).first == 0);
  CHECK(check(false).second.empty());
  facts.states[k_vm] = "";
  CHECK(check(false).first == 1);
  CHECK(check(true).first == 0);
  REQUIRE(check(true).second.size() == 1);
  CHECK(check(true).second.front().rfind("disk persistent-state-for-db-0: KubeVirt has not made its claim yet", 0) == 0);
  facts.states[k_vm] = "persistent-state-for-db-0-abcde";
  CHECK(check(false).first == 0);
  CHECK(check(false).second.empty());
}

TEST_CASE("a state that the VM has by its preference is left out without a word of KubeVirt's") {
  kubevirt::VirtualMachine vm = vm_with({});
  backup::DiskFacts facts;
  kubevirt::VirtualMachineInstance vmi;
  const auto unseen = [&](const kubevirt::VirtualMachineInstance* running) {
    std::vector<backup::DiskReport> disks = backup::plan_disks(vm);
    backup::add_unseen_state(vm, running, facts, disks);
    return disks;
  };
  CHECK(unseen(nullptr).size() == 1);
  CHECK(unseen(&vmi).size() == 1);
  // Stopped: the claim tells, unless it is what is left of a TPM that the VM had once.
  facts.states[k_vm] = "persistent-state-for-db-0-abcde";
  CHECK(unseen(nullptr).size() == 1);
  vm.has_preference = true;
  REQUIRE(unseen(nullptr).size() == 2);
  CHECK(unseen(nullptr)[1].name == "persistent-state-for-db-0");
  CHECK(unseen(nullptr)[1].claim == "persistent-state-for-db-0-abcde");
  CHECK_FALSE(unseen(nullptr)[1].included);
  CHECK(unseen(nullptr)[1].counts);
  // Running: its instance tells.
  CHECK(unseen(&vmi).size() == 1);
  vmi.persistent_state = true;
  CHECK(unseen(&vmi).size() == 2);
  // In the VM's own definition too, or there for the maps of changed blocks: it is in the snapshot.
  vm.snapshot_support = {{"persistent-state-for-db-0", true, ""}};
  REQUIRE(unseen(&vmi).size() == 2);
  CHECK(unseen(&vmi)[1].included);
  CHECK(unseen(&vmi)[1].counts);
  vm.persistent_state = true;
  CHECK(unseen(&vmi).size() == 2);
}
