#include "backup/obstacles.hpp"

#include <doctest/doctest.h>

namespace {

using namespace vmbackup;
using backup::ClaimFacts;
using backup::Obstacle;

kubevirt::VirtualMachine stopped() {
  kubevirt::VirtualMachine vm;
  vm.ns = "prod";
  vm.name = "db-0";
  vm.printable_status = "Stopped";
  return vm;
}

// Bound, populated, unused.
ClaimFacts good() {
  ClaimFacts facts;
  facts.state = ClaimFacts::State::present;
  facts.bound = true;
  facts.storage_class = "rig";
  facts.class_exists = true;
  facts.pods.emplace();
  return facts;
}

std::vector<Obstacle> found(const ClaimFacts& facts, bool has_instance = false, const kubevirt::VirtualMachine& vm = stopped()) {
  return backup::obstacles(vm, "d1", facts, has_instance);
}

void never(const ClaimFacts& facts, const std::string& why, const std::string& mend) {
  const std::vector<Obstacle> all = found(facts);
  REQUIRE(all.size() == 1);
  CHECK(all[0].why == why);
  CHECK_FALSE(all[0].passes);
  CHECK_FALSE(all[0].busy);
  CHECK(all[0].mend == mend);
}

void not_yet(const ClaimFacts& facts, const std::string& why, bool has_instance = false, const kubevirt::VirtualMachine& vm = stopped()) {
  const std::vector<Obstacle> all = found(facts, has_instance, vm);
  REQUIRE(all.size() == 1);
  CHECK(all[0].why == why);
  CHECK(all[0].passes);
  CHECK(all[0].mend.empty());
}

TEST_CASE("nothing is in the way of a bound claim, nor where claims may not be read") {
  CHECK(found(good()).empty());
  CHECK(found(good(), true).empty());
  ClaimFacts unknown;
  CHECK(found(unknown).empty());
  unknown.pods = std::vector<backup::PodUse>{{"reader", "", false, false}};
  CHECK(found(unknown).size() == 1);
}

TEST_CASE("a claim that does not exist") {
  ClaimFacts facts = good();
  facts.state = ClaimFacts::State::missing;
  facts.bound = false;
  facts.data_volume_phase = "";
  never(facts, "claim d1 does not exist", "create it, or take the disk out of the VM: kubectl edit virtualmachine db-0 -n prod");
  kubevirt::VirtualMachine vm = stopped();
  vm.data_volume_templates = {"d1"};
  not_yet(facts, "claim d1 does not exist yet: KubeVirt is to make it for the VM", false, vm);
  facts.data_volume = "d1";
  facts.data_volume_phase = "CloneScheduled";
  not_yet(facts, "claim d1 does not exist yet: DataVolume d1 is in phase CloneScheduled");
  facts.data_volume_phase = "Failed";
  never(facts, "claim d1 does not exist: DataVolume d1 has failed", "see why with: kubectl describe datavolume d1 -n prod");
  // A DataVolume that may not be read may be about to make it.
  facts.data_volume.clear();
  facts.data_volume_phase.reset();
  not_yet(facts, "claim d1 does not exist");
}

TEST_CASE("a claim that is being deleted, whatever else there is to say of it") {
  ClaimFacts facts = good();
  facts.deleting = true;
  facts.pods->push_back({"reader", "", false, false});
  never(facts, "claim d1 is being deleted, which cannot be taken back",
        "take the disk out of the VM: kubectl edit virtualmachine db-0 -n prod");
}

TEST_CASE("a claim that is not bound: it is being made, unless nothing can make it") {
  ClaimFacts facts = good();
  facts.bound = false;
  not_yet(facts, "claim d1 is not bound");
  not_yet(facts, "claim d1 is not bound", true);
  const std::string look = "see why with: kubectl describe persistentvolumeclaim d1 -n prod";
  SUBCASE("lost") {
    facts.lost = true;
    never(facts, "claim d1 is not bound: its volume is lost", look);
  }
  SUBCASE("a class that is not there") {
    facts.class_exists = false;
    never(facts, "claim d1 is not bound: its StorageClass rig does not exist", look);
    facts.class_exists.reset();
    not_yet(facts, "claim d1 is not bound");
    facts.class_exists = false;
    facts.scheduled = true;
    not_yet(facts, "claim d1 is not bound");
    // One without a class waits for a volume that somebody makes.
    facts.scheduled = false;
    facts.storage_class.clear();
    not_yet(facts, "claim d1 is not bound");
  }
  SUBCASE("its first consumer: never where nothing starts the VM") {
    facts.waits_for_consumer = true;
    never(facts, "claim d1 is not bound: it waits for the VM's first start", "start the VM once: virtctl start db-0 -n prod");
    not_yet(facts, "claim d1 is not bound", true);
    kubevirt::VirtualMachine starting = stopped();
    starting.printable_status = "Provisioning";
    not_yet(facts, "claim d1 is not bound", false, starting);
    facts.scheduled = true;
    not_yet(facts, "claim d1 is not bound");
    facts.scheduled = false;
    facts.pods->push_back({"reader", "", false, false});
    not_yet(facts, "claim d1 is not bound");
    facts.pods.reset();
    not_yet(facts, "claim d1 is not bound");
  }
}

TEST_CASE("a claim whose DataVolume has not succeeded") {
  ClaimFacts facts = good();
  facts.data_volume = "import";
  const std::string why = "claim d1 is not populated: DataVolume import";
  const std::string look = "see why with: kubectl describe datavolume import -n prod";
  facts.data_volume_phase = "Succeeded";
  CHECK(found(facts).empty());
  facts.data_volume_phase.reset();
  CHECK(found(facts).empty());
  for (const bool bound : {true, false}) {
    facts.bound = bound;
    facts.data_volume_phase = "ImportInProgress";
    not_yet(facts, why + " is in phase ImportInProgress");
    facts.data_volume_phase = "Failed";
    never(facts, why + " has failed", look);
    facts.data_volume_phase = "Paused";
    never(facts, why + " is paused", look);
    facts.data_volume_phase = "";
    never(facts, why + " does not exist", "see why with: kubectl describe persistentvolumeclaim d1 -n prod");
    for (const char* phase : {"WaitForFirstConsumer", "PendingPopulation"}) {
      facts.data_volume_phase = phase;
      never(facts, why + " waits for the VM's first start", "start the VM once: virtctl start db-0 -n prod");
      not_yet(facts, why + " is in phase " + phase, true);
    }
  }
  facts.data_volume_phase = "Pending";
  facts.class_exists = false;
  never(facts, "claim d1 is not bound: its StorageClass rig does not exist",
        "see why with: kubectl describe persistentvolumeclaim d1 -n prod");
}

TEST_CASE("pods that have the disk of a VM without an instance") {
  ClaimFacts facts = good();
  const auto with = [&](backup::PodUse use) {
    facts.pods = std::vector<backup::PodUse>{std::move(use)};
    CHECK(found(facts, true).empty());
    return found(facts);
  };
  const Obstacle running = with({"reader", "", false, false}).at(0);
  CHECK(running.why == "pod reader uses claim d1 while the VM does not run");
  CHECK_FALSE(running.passes);
  CHECK(running.busy);
  CHECK(running.mend == "see what it does, and wait until it is gone: kubectl describe pod reader -n prod");
  const Obstacle other = with({"virt-launcher-web-0-x", "web-0", false, false}).at(0);
  CHECK(other.why == "VM web-0 uses claim d1 while this VM does not run");
  CHECK(other.busy);
  CHECK(other.mend == "stop that one first: virtctl stop web-0 -n prod");
  const Obstacle failed = with({"reader", "", true, false}).at(0);
  CHECK(failed.why == "pod reader has failed but still has claim d1");
  CHECK_FALSE(failed.passes);
  CHECK_FALSE(failed.busy);
  CHECK(failed.mend == "remove it: kubectl delete pod reader -n prod");
  CHECK(with({"reader", "", false, true}).at(0).passes);
  CHECK(with({"virt-launcher-db-0-x", "db-0", true, false}).at(0).passes);
  // What fills a disk is no more in the way than that it is not full.
  facts.data_volume = "import";
  facts.data_volume_phase = "ImportInProgress";
  facts.pods = std::vector<backup::PodUse>{{"importer", "", false, false}};
  not_yet(facts, "claim d1 is not populated: DataVolume import is in phase ImportInProgress");
}

}  // namespace
