#include "backup/disk_facts.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::ClaimFacts;
using backup::ClassPick;
using test::Fault;

struct Story {
  Story() : cluster(clock) {}
  void vm(const std::string& ns, const std::string& name, const std::string& storage_class = "rig", bool running = true) {
    for (const json::Value& object :
         test::manifest_of({.ns = ns, .name = name, .volumes = {"root", "data"}, .storage_class = storage_class, .running = running})) {
      cluster.apply(object);
    }
  }
  // A VM whose only disk is a claim that others have.
  void vm_on(const std::string& ns, const std::string& name, const std::string& claim) {
    cluster.apply_manifest("apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {namespace: " + ns + ", name: " + name +
                           "}\nspec:\n  runStrategy: Always\n  template:\n    spec:\n      domain: {devices: {}}\n      volumes:\n"
                           "      - name: shared\n        persistentVolumeClaim: {claimName: " +
                           claim + "}\n");
  }
  void pod(const std::string& name, const std::string& claim, const std::string& phase, const std::string& owner_pod = {}) {
    json::Value object = json::Value::object({{"apiVersion", "v1"}, {"kind", "Pod"}});
    object["metadata"] = json::Value::object({{"namespace", "prod"}, {"name", name}});
    if (!owner_pod.empty()) {
      object["metadata"].set("ownerReferences",
                             json::Value::array({json::Value::object(
                                 {{"apiVersion", "v1"}, {"kind", "Pod"}, {"name", owner_pod}, {"uid", "u"}, {"controller", true}})}));
    }
    const json::Value source = json::Value::object({{"claimName", claim}});
    object["spec"] = json::Value::object(
        {{"containers", json::Value::array({json::Value::object({{"name", "main"}})})},
         {"volumes", json::Value::array({json::Value::object({{"name", "disk"}, {"persistentVolumeClaim", source}})})}});
    object["status"] = json::Value::object({{"phase", phase}});
    cluster.apply(object);
    cluster.change(kubevirt::pods(), {"prod", name}, [&](json::Value& stored) { stored["status"].set("phase", phase); });
  }
  std::vector<kubevirt::VirtualMachine> vms(const std::vector<kube::Name>& names) {
    std::vector<kubevirt::VirtualMachine> found;
    for (const kube::Name& name : names) {
      found.push_back(*kubevirt::decode_virtual_machine(*cluster.find(kubevirt::virtual_machines(), name)));
    }
    return found;
  }
  base::Result<backup::DiskFacts> read(const std::vector<kube::Name>& names) {
    return backup::read_disk_facts(cluster, vms(names), {.deadline = base::Deadline::after(clock, 1min)}, {});
  }
  int lists(const char* plural) const {
    const std::vector<test::RequestRecord> all = cluster.requests();
    return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const test::RequestRecord& one) {
      return one.target.find(std::string("/") + plural + "?") != std::string::npos;
    }));
  }
  void forbid(const std::string& plural) {
    Fault fault;
    fault.action = Fault::Action::status;
    fault.method = "GET";
    fault.path = "/" + plural;
    fault.status = 403;
    fault.times = -1;
    cluster.add_fault(fault);
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
};

}  // namespace

TEST_CASE("the disks of a running VM: bound, populated, its own pod and instance, the class that KubeVirt takes") {
  Story story;
  story.vm("prod", "db-0");
  story.cluster.settle();
  const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-0"}});
  REQUIRE(facts.ok());
  CHECK(facts->unknown.empty());
  CHECK(facts->claims.size() == 2);
  const ClaimFacts root = facts->of("prod", "db-0-d1");
  CHECK(root.state == ClaimFacts::State::present);
  CHECK(root.bound);
  CHECK(root.populated() == true);
  CHECK(root.class_exists == true);
  CHECK(root.storage_class == "rig");
  REQUIRE(root.pick.has_value());
  CHECK(root.pick->kind == ClassPick::Kind::one);
  CHECK(root.pick->classes == std::vector<std::string>{"rig-snap"});
  CHECK(root.instances == std::vector<std::string>{"db-0"});
  REQUIRE(root.pods->size() == 1);
  CHECK(root.pods->front().instance == "db-0");
  CHECK(backup::other_instances(root, "db-0").empty());
  CHECK(facts->of("prod", "another").state == ClaimFacts::State::unknown);
}

TEST_CASE("one list per kind and namespace, however many VMs there are, and none where there is nothing to know") {
  Story story;
  for (const char* name : {"a", "b", "c"}) {
    story.vm("prod", name);
    story.vm("test", name);
  }
  story.cluster.settle();
  story.cluster.forget_requests();
  REQUIRE(story.read({{"prod", "a"}, {"prod", "b"}, {"prod", "c"}, {"test", "a"}, {"test", "b"}, {"test", "c"}}).ok());
  CHECK(story.lists("persistentvolumeclaims") == 2);
  CHECK(story.lists("pods") == 2);
  CHECK(story.lists("virtualmachineinstances") == 2);
  CHECK(story.lists("datavolumes") == 0);
  CHECK(story.lists("storageclasses") == 1);
  CHECK(story.lists("volumesnapshotclasses") == 1);
  CHECK(story.lists("storageprofiles") == 1);
  CHECK(story.cluster.requests().size() == 9);
  story.cluster.forget_requests();
  REQUIRE(story.read({}).ok());
  CHECK(story.cluster.requests().empty());
}

TEST_CASE("the state of a claim, its DataVolume, its class and the pods that have it") {
  Story story;
  story.vm("prod", "db-0", "rig", false);
  story.cluster.settle();
  const auto facts_of = [&](const char* claim) {
    const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-0"}});
    REQUIRE(facts.ok());
    return facts->of("prod", claim);
  };
  SUBCASE("pods, as long as they have not succeeded") {
    story.pod("exporter", "db-0-d1", "Running");
    story.pod("failed", "db-0-d1", "Failed");
    story.pod("done", "db-0-d1", "Succeeded");
    story.pod("elsewhere", "db-0-d2", "Running");
    const ClaimFacts facts = facts_of("db-0-d1");
    REQUIRE(facts.pods->size() == 2);
    CHECK(facts.pods->at(0).pod == "exporter");
    CHECK_FALSE(facts.pods->at(0).failed);
    CHECK(facts.pods->at(1).failed);
  }
  SUBCASE("a claim that is not there, and one that a DataVolume is about to make") {
    story.cluster.erase_now(kubevirt::persistent_volume_claims(), {"prod", "db-0-d1"});
    ClaimFacts facts = facts_of("db-0-d1");
    CHECK(facts.state == ClaimFacts::State::missing);
    CHECK(facts.data_volume.empty());
    CHECK(facts.data_volume_phase == "");
    story.cluster.apply_manifest(
        "apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nmetadata: {namespace: prod, name: db-0-d1}\nspec: {}\n");
    facts = facts_of("db-0-d1");
    CHECK(facts.data_volume == "db-0-d1");
    CHECK(facts.data_volume_phase == "Pending");
    story.forbid("datavolumes");
    CHECK_FALSE(facts_of("db-0-d1").data_volume_phase.has_value());
  }
  SUBCASE("a claim that is being deleted") {
    const kube::Name claim{"prod", "db-0-d1"};
    story.cluster.change(kubevirt::persistent_volume_claims(), claim,
                         [](json::Value& object) { object["metadata"].set("finalizers", json::Value::array({"test.example/held"})); });
    story.cluster.erase(kubevirt::persistent_volume_claims(), claim);
    CHECK(facts_of("db-0-d1").deleting);
  }
  SUBCASE("claims that are not bound: whose class waits, and whose class there is none of") {
    story.vm("prod", "db-1", "rig-wffc", false);
    story.vm("prod", "db-2", "none-such", false);
    story.clock.advance(1s);
    const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-1"}, {"prod", "db-2"}});
    REQUIRE(facts.ok());
    CHECK_FALSE(facts->of("prod", "db-1-d1").bound);
    CHECK(facts->of("prod", "db-1-d1").waits_for_consumer);
    CHECK(facts->of("prod", "db-1-d1").class_exists == true);
    CHECK(facts->of("prod", "db-2-d1").class_exists == false);
    story.forbid("storageclasses");
    const base::Result<backup::DiskFacts> less = story.read({{"prod", "db-2"}});
    CHECK_FALSE(less->of("prod", "db-2-d1").class_exists.has_value());
  }
  SUBCASE("a claim whose DataVolume is not there, not done, done, or may not be read") {
    story.cluster.change(kubevirt::persistent_volume_claims(), {"prod", "db-0-d1"}, [](json::Value& claim) {
      claim["metadata"].set("ownerReferences", json::Value::array({json::Value::object({{"apiVersion", "cdi.kubevirt.io/v1beta1"},
                                                                                        {"kind", "DataVolume"},
                                                                                        {"name", "import"},
                                                                                        {"uid", "u"},
                                                                                        {"controller", true}})}));
    });
    CHECK(facts_of("db-0-d1").data_volume == "import");
    CHECK(facts_of("db-0-d1").data_volume_phase == "");
    CHECK(facts_of("db-0-d1").populated() == false);
    story.cluster.apply_manifest(
        "apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nmetadata: {namespace: prod, name: import}\nspec: {}\n"
        "status: {phase: ImportInProgress}\n");
    CHECK(facts_of("db-0-d1").data_volume_phase == "ImportInProgress");
    CHECK(facts_of("db-0-d1").populated() == false);
    story.cluster.change(kubevirt::data_volumes(), {"prod", "import"},
                         [](json::Value& object) { object["status"].set("phase", "Succeeded"); });
    CHECK(facts_of("db-0-d1").populated() == true);
    story.forbid("datavolumes");
    const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-0"}});
    CHECK_FALSE(facts->of("prod", "db-0-d1").populated().has_value());
    CHECK(facts->unknown ==
          std::vector<std::string>{"whether claims are populated is not known, because datavolumes in namespace prod may not be read"});
  }
}

TEST_CASE("the instances of the VMs come with the list: those that run and those that have ended, and nobody else's") {
  Story story;
  story.vm("prod", "db-0");
  story.vm("prod", "db-1");
  story.vm("prod", "web-0");
  story.vm("prod", "off-0", "rig", false);
  story.cluster.settle();
  story.cluster.change(kubevirt::virtual_machine_instances(), {"prod", "db-1"},
                       [](json::Value& vmi) { vmi["status"].set("phase", "Succeeded"); });
  const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-0"}, {"prod", "db-1"}, {"prod", "off-0"}});
  REQUIRE(facts.ok());
  REQUIRE(facts->instances.count("prod") == 1);
  const auto& instances = facts->instances.at("prod");
  REQUIRE(instances.size() == 2);
  CHECK(instances.at("db-0").agent_connected);
  CHECK(instances.at("db-1").final());
  CHECK(facts->of("prod", "db-1-d1").instances->empty());
  story.forbid("virtualmachineinstances");
  CHECK(story.read({{"prod", "db-0"}})->instances.empty());
}

TEST_CASE("the claim of a VM's persistent state is found by its label: the newest that is not being deleted") {
  Story story;
  story.vm("prod", "db-0", "rig", false);
  story.vm("prod", "db-1", "rig", false);
  story.vm("prod", "db-2", "rig", false);
  story.cluster.settle();
  for (const char* name : {"db-0", "db-1"}) {
    story.cluster.change(kubevirt::virtual_machines(), {"prod", name}, [](json::Value& vm) {
      vm["spec"]["template"]["spec"]["domain"]["devices"].set("tpm", json::Value::object({{"persistent", true}}));
    });
  }
  const auto state = [&](const std::string& name, const std::string& of) {
    story.cluster.apply_manifest("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  namespace: prod\n  name: " + name +
                                 "\n  labels: {persistent-state-for: " + of +
                                 "}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}\n");
    story.clock.advance(1h);
  };
  state("one", "db-0");
  state("two", "db-0");
  state("three", "db-0");
  state("other", "db-2");
  story.cluster.settle();
  const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-0"}, {"prod", "db-1"}, {"prod", "db-2"}});
  REQUIRE(facts.ok());
  // db-1 has none yet, and db-2 keeps no state.
  REQUIRE(facts->states.size() == 2);
  CHECK(facts->states.at({"prod", "db-0"}) == "three");
  CHECK(facts->states.at({"prod", "db-1"}).empty());
  CHECK(facts->of("prod", "three").bound);
  CHECK(facts->of("prod", "three").instances->empty());
}

TEST_CASE("a claim that another running VM also has") {
  Story story;
  story.vm("prod", "db-0");
  story.vm_on("prod", "db-1", "db-0-d2");
  story.cluster.settle();
  const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-0"}});
  REQUIRE(facts.ok());
  CHECK(backup::other_instances(facts->of("prod", "db-0-d2"), "db-0") == std::vector<std::string>{"db-1"});
  CHECK(backup::other_instances(facts->of("prod", "db-0-d2"), "db-1") == std::vector<std::string>{"db-0"});
  CHECK(backup::other_instances(facts->of("prod", "db-0-d1"), "db-0").empty());
}

TEST_CASE("the pod of a hot-plugged disk is its instance's") {
  Story story;
  story.vm("prod", "db-0");
  story.cluster.settle();
  std::string launcher;
  for (const json::Value& pod : story.cluster.list_all(kubevirt::pods())) launcher = pod.path({"metadata", "name"}).as_string();
  story.pod("hp-volume-x", "db-0-d2", "Running", launcher);
  const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-0"}});
  REQUIRE(facts->of("prod", "db-0-d2").pods->size() == 2);
  CHECK(facts->of("prod", "db-0-d2").pods->front().pod == "hp-volume-x");
  CHECK(facts->of("prod", "db-0-d2").pods->front().instance == "db-0");
}

TEST_CASE("what may not be read is not known, said once, and nothing is made up") {
  Story story;
  story.vm("prod", "db-0");
  story.cluster.settle();
  const auto read = [&](const char* plural) {
    story.forbid(plural);
    const base::Result<backup::DiskFacts> facts = story.read({{"prod", "db-0"}});
    REQUIRE(facts.ok());
    REQUIRE(facts->unknown.size() == 1);
    CHECK(facts->unknown[0].find(std::string(plural)) != std::string::npos);
    return facts->of("prod", "db-0-d1");
  };
  SUBCASE("claims") {
    const ClaimFacts facts = read("persistentvolumeclaims");
    CHECK(facts.state == ClaimFacts::State::unknown);
    CHECK_FALSE(facts.pick.has_value());
  }
  SUBCASE("pods") { CHECK_FALSE(read("pods").pods.has_value()); }
  SUBCASE("instances") { CHECK_FALSE(read("virtualmachineinstances").instances.has_value()); }
  SUBCASE("no class of any kind") {
    story.forbid("volumesnapshotclasses");
    story.forbid("storageprofiles");
    CHECK_FALSE(read("storageclasses").pick.has_value());
  }
  SUBCASE("storage classes") { CHECK_FALSE(read("storageclasses").pick.has_value()); }
  SUBCASE("snapshot classes") { CHECK_FALSE(read("volumesnapshotclasses").pick.has_value()); }
  SUBCASE("profiles") { CHECK_FALSE(read("storageprofiles").pick.has_value()); }
}

TEST_CASE("a cluster without CDI has no profiles, and one that is away is an error") {
  Story story;
  story.vm("prod", "db-0");
  story.cluster.settle();
  Fault fault;
  fault.action = Fault::Action::status;
  fault.method = "GET";
  fault.path = "/storageprofiles";
  fault.status = 404;
  fault.times = -1;
  story.cluster.add_fault(fault);
  const base::Result<backup::DiskFacts> without = story.read({{"prod", "db-0"}});
  REQUIRE(without.ok());
  CHECK(without->unknown.empty());
  CHECK(without->of("prod", "db-0-d1").pick->kind == ClassPick::Kind::one);
  fault.path = "/pods";
  fault.status = 503;
  story.cluster.add_fault(fault);
  const base::Result<backup::DiskFacts> away = story.read({{"prod", "db-0"}});
  REQUIRE_FALSE(away.ok());
  CHECK((away.error().code() == base::ErrorCode::unavailable || away.error().code() == base::ErrorCode::timeout));
}
