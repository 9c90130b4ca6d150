// The snapshot flow of the played controllers, with the words that were seen on a real KubeVirt 1.9.0.
#include <doctest/doctest.h>

#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace vmbackup::test {
namespace {

using json::Value;

const kube::Resource k_vm{"kubevirt.io", "v1", "virtualmachines", "VirtualMachine", true};
const kube::Resource k_vmi{"kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", true};
const kube::Resource k_vmi_sub{"subresources.kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", true};
const kube::Resource k_snapshot{"snapshot.kubevirt.io", "v1beta1", "virtualmachinesnapshots", "VirtualMachineSnapshot", true};
const kube::Resource k_content{"snapshot.kubevirt.io", "v1beta1", "virtualmachinesnapshotcontents", "VirtualMachineSnapshotContent", true};
const kube::Resource k_vs{"snapshot.storage.k8s.io", "v1", "volumesnapshots", "VolumeSnapshot", true};
const kube::Resource k_vsc{"snapshot.storage.k8s.io", "v1", "volumesnapshotcontents", "VolumeSnapshotContent", false};

Value snapshot_of(const std::string& vm, const std::string& name, const std::string& deadline = {}, const std::string& policy = {}) {
  Value object = Value::object({{"apiVersion", "snapshot.kubevirt.io/v1beta1"}, {"kind", "VirtualMachineSnapshot"}});
  object["metadata"].set("name", name);
  object["spec"].set("source", Value::object({{"apiGroup", "kubevirt.io"}, {"kind", "VirtualMachine"}, {"name", vm}}));
  if (!deadline.empty()) object["spec"].set("failureDeadline", deadline);
  if (!policy.empty()) object["spec"].set("deletionPolicy", policy);
  return object;
}

struct Fixture {
  FakeClock clock;
  FakeCluster cluster{clock};

  explicit Fixture(const VmManifest& vm = {.ns = "prod", .name = "db-0", .volumes = {"root", "data"}}, ClusterOptions options = {})
      : cluster(clock, std::move(options)) {
    for (const Value& object : manifest_of(vm)) cluster.apply(object);
    cluster.settle();
  }
  kube::Call call() { return {base::Deadline::after(clock, std::chrono::seconds(30))}; }
  void create(const Value& object) {
    const base::Result<Value> made = cluster.create(k_snapshot, "prod", object, call(), {});
    REQUIRE_MESSAGE(made.ok(), (made ? "" : made.error().message()));
  }
  Value snapshot(const std::string& name) { return cluster.find(k_snapshot, {"prod", name}).value_or(Value()); }
  std::string phase(const std::string& name) { return snapshot(name).path({"status", "phase"}).as_string(); }
  std::string indications(const std::string& name) {
    const Value object = snapshot(name);
    std::string text;
    for (const Value& each : object.path({"status", "indications"}).items()) text += (text.empty() ? "" : " ") + each.as_string();
    return text;
  }
  std::string reason(const std::string& name, const std::string& type) {
    const Value object = snapshot(name);
    for (const Value& each : object.path({"status", "conditions"}).items()) {
      if (each.path({"type"}).as_string() == type) return each.path({"status"}).as_string() + ": " + each.path({"reason"}).as_string();
    }
    return "";
  }
  std::string events() {
    std::string text;
    for (const Happening& each : cluster.happenings()) {
      if (each.event != "boot") text += (text.empty() ? "" : " ") + each.event + (each.event == "cut" ? ":" + each.detail : "");
    }
    return text;
  }
};

TEST_CASE("a running VM with an agent is frozen, cut and thawed") {
  Fixture f;
  f.create(snapshot_of("db-0", "s1"));
  f.clock.advance(std::chrono::seconds(1));
  const Value s = f.snapshot("s1");
  CHECK(f.phase("s1") == "Succeeded");
  CHECK(s.path({"status", "readyToUse"}).as_bool());
  CHECK(f.indications("s1") == "GuestAgent Online");
  CHECK(f.reason("s1", "Progressing") == "False: Operation complete");
  CHECK(f.reason("s1", "Ready") == "True: Ready");
  CHECK(s.path({"status", "snapshotVolumes", "includedVolumes"}) == Value::array({"root", "data"}));
  CHECK(f.events() == "freeze-request frozen cut:frozen cut:frozen thaw-request thawed");
  const std::string uid = s.path({"metadata", "uid"}).as_string();
  CHECK(s.path({"status", "virtualMachineSnapshotContentName"}).as_string() == "vmsnapshot-content-" + uid);
  const std::optional<Value> content = f.cluster.find(k_content, {"prod", "vmsnapshot-content-" + uid});
  REQUIRE(content);
  CHECK(content->path({"status", "volumeSnapshotStatus"}).items().size() == 2);
  const std::optional<Value> vs = f.cluster.find(k_vs, {"prod", "vmsnapshot-" + uid + "-volume-root"});
  REQUIRE(vs);
  CHECK(vs->path({"status", "readyToUse"}).as_bool());
  CHECK(vs->path({"metadata", "labels", "snapshot.kubevirt.io/source-vm-name"}).as_string() == "db-0");
  CHECK(f.cluster.find(k_vm, {"prod", "db-0"})->path({"status", "snapshotInProgress"}).is_null());
  CHECK_FALSE(f.cluster.guest_frozen("prod", "db-0"));
}

TEST_CASE("indications without agent, stopped, paused") {
  SUBCASE("no agent") {
    Fixture f({.ns = "prod", .name = "db-0", .knobs = {{"agent", "none"}}});
    f.create(snapshot_of("db-0", "s1"));
    f.clock.advance(std::chrono::seconds(1));
    CHECK(f.indications("s1") == "NoGuestAgent Online");
    CHECK(f.events() == "cut:running");
  }
  SUBCASE("stopped") {
    Fixture f({.ns = "prod", .name = "db-0", .running = false});
    f.create(snapshot_of("db-0", "s1"));
    f.clock.advance(std::chrono::seconds(1));
    CHECK(f.phase("s1") == "Succeeded");
    CHECK(f.snapshot("s1").path({"status", "indications"}).is_null());
    CHECK(f.events() == "cut:stopped");
  }
  SUBCASE("paused") {
    Fixture f;
    REQUIRE(f.cluster.put_subresource(k_vmi_sub, {"prod", "db-0"}, "pause", {}, f.call(), {}).ok());
    const base::Result<Value> again = f.cluster.put_subresource(k_vmi_sub, {"prod", "db-0"}, "pause", {}, f.call(), {});
    REQUIRE_FALSE(again.ok());
    CHECK(again.error().code() == base::ErrorCode::conflict);
    CHECK(again.error().message().find(
              "Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io \"db-0\": VMI is already paused") != std::string::npos);
    f.create(snapshot_of("db-0", "s1"));
    f.clock.advance(std::chrono::seconds(1));
    CHECK(f.indications("s1") == "Online Paused");
    CHECK(f.events() == "pause cut:paused cut:paused");
    CHECK(f.cluster.put_subresource(k_vmi_sub, {"prod", "db-0"}, "unpause", {}, f.call(), {}).ok());
  }
}

TEST_CASE("disks without a snapshot class: partial on 1.9, silent before, empty content is ready") {
  for (const char* version : {"1.9.0", "1.8.0"}) {
    Fixture f({.ns = "prod", .name = "db-0", .storage_class = "plain"}, {.kubevirt = version});
    const std::optional<Value> vm = f.cluster.find(k_vm, {"prod", "db-0"});
    CHECK(vm->path({"status", "volumeSnapshotStatuses"}).items().front().path({"reason"}).as_string() ==
          "No VolumeSnapshotClass: Volume snapshots are not configured for this StorageClass [plain] [root]");
    f.create(snapshot_of("db-0", "s1"));
    f.clock.advance(std::chrono::seconds(1));
    CHECK(f.phase("s1") == "Succeeded");
    CHECK(f.snapshot("s1").path({"status", "readyToUse"}).as_bool());
    CHECK(f.indications("s1") == (std::string(version) == "1.9.0" ? "GuestAgent Online PartialSnapshot" : "GuestAgent Online"));
    CHECK(f.snapshot("s1").path({"status", "snapshotVolumes", "excludedVolumes"}) == Value::array({"root"}));
  }
}

TEST_CASE("a refused cut is an error state that heals, or ends at the deadline") {
  SUBCASE("once") {
    Fixture f({.ns = "prod", .name = "db-0", .storage_class = "rig-failonce"});
    f.create(snapshot_of("db-0", "s1"));
    f.clock.advance(std::chrono::milliseconds(100));
    CHECK(f.reason("s1", "Progressing") == "False: In error state");
    CHECK(f.snapshot("s1").path({"status", "error", "message"}).as_string().find("rig: snapshot refused by the array") !=
          std::string::npos);
    f.clock.advance(std::chrono::seconds(5));
    CHECK(f.phase("s1") == "Succeeded");
    CHECK(f.snapshot("s1").path({"status", "error"}).is_null());
  }
  SUBCASE("always") {
    Fixture f({.ns = "prod", .name = "db-0", .storage_class = "rig-failsnap"});
    f.create(snapshot_of("db-0", "s1", "20s"));
    f.clock.advance(std::chrono::seconds(15));
    CHECK(f.phase("s1") == "InProgress");
    CHECK(f.cluster.guest_frozen("prod", "db-0"));
    f.clock.advance(std::chrono::seconds(10));
    CHECK(f.phase("s1") == "Failed");
    CHECK(f.reason("s1", "Failure") == "True: snapshot deadline exceeded");
    CHECK(f.reason("s1", "Progressing") == "False: In error state");
    CHECK_FALSE(f.cluster.guest_frozen("prod", "db-0"));
    CHECK(f.cluster.list_all(k_content).empty());
    CHECK(f.cluster.list_all(k_vs).empty());
    CHECK(f.cluster.find(k_vm, {"prod", "db-0"})->path({"status", "snapshotInProgress"}).is_null());
  }
}

TEST_CASE("a freeze that fails is retried every 5 s until the deadline") {
  Fixture f({.ns = "prod", .name = "db-0", .knobs = {{"freeze", "fail"}}});
  f.create(snapshot_of("db-0", "s1", "12s"));
  f.clock.advance(std::chrono::seconds(1));
  CHECK(f.snapshot("s1").path({"status", "error", "message"}).as_string().find("command Freeze failed") != std::string::npos);
  f.clock.advance(std::chrono::seconds(14));
  CHECK(f.phase("s1") == "Failed");
  CHECK(f.events().find("freeze-request freeze-failed freeze-request freeze-failed") == 0);
}

TEST_CASE("a snapshot within 5 s of a thaw is not frozen, and says it was") {
  Fixture f({.ns = "prod", .name = "db-0", .volumes = {"root", "data"}, .storage_class = "rig-slow"});
  f.create(snapshot_of("db-0", "s1"));
  f.create(snapshot_of("db-0", "s2"));
  f.clock.advance(std::chrono::milliseconds(500));
  CHECK(f.reason("s2", "Progressing") == "False: Source not locked snapshot \"s1\" in progress");
  f.clock.advance(std::chrono::seconds(30));
  CHECK(f.phase("s1") == "Succeeded");
  CHECK(f.phase("s2") == "Succeeded");
  CHECK(f.indications("s2") == "GuestAgent Online");
  CHECK(f.events().find("freeze-request frozen cut:frozen cut:frozen thaw-request thawed cut:running cut:running thaw-request") == 0);
}

TEST_CASE("our safety timer thaws before the last cut, and a re-freeze does not lengthen it") {
  Fixture f({.ns = "prod", .name = "db-0", .volumes = {"root", "data"}, .storage_class = "rig-slow"});
  const Value body = Value::object({{"unfreezeTimeout", "3s"}});
  REQUIRE(f.cluster.put_subresource(k_vmi_sub, {"prod", "db-0"}, "freeze", body, f.call(), {}).ok());
  f.create(snapshot_of("db-0", "s1"));
  f.clock.advance(std::chrono::seconds(20));
  CHECK(f.phase("s1") == "Succeeded");
  CHECK(f.events() == "freeze-request frozen freeze-request freeze-again cut:frozen safety-timer thawed cut:running thaw-request");
}

TEST_CASE("deleting: Delete takes everything, Retain keeps a ready content, a running one is let go") {
  SUBCASE("delete") {
    Fixture f;
    f.create(snapshot_of("db-0", "s1"));
    f.clock.advance(std::chrono::seconds(1));
    REQUIRE(f.cluster.remove(k_snapshot, {"prod", "s1"}, {}, f.call(), {}).ok());
    f.clock.advance(std::chrono::seconds(6));
    CHECK(f.cluster.list_all(k_snapshot).empty());
    CHECK(f.cluster.list_all(k_content).empty());
    CHECK(f.cluster.list_all(k_vs).empty());
    CHECK(f.cluster.list_all(k_vsc).empty());
  }
  SUBCASE("retain") {
    Fixture f;
    f.create(snapshot_of("db-0", "s1", "", "Retain"));
    f.clock.advance(std::chrono::seconds(1));
    REQUIRE(f.cluster.remove(k_snapshot, {"prod", "s1"}, {}, f.call(), {}).ok());
    f.clock.advance(std::chrono::seconds(6));
    CHECK(f.cluster.list_all(k_snapshot).empty());
    CHECK(f.cluster.list_all(k_content).size() == 1);
    CHECK(f.cluster.list_all(k_vs).size() == 2);
  }
  SUBCASE("in progress") {
    Fixture f({.ns = "prod", .name = "db-0", .volumes = {"root", "data"}, .storage_class = "rig-slow"});
    f.create(snapshot_of("db-0", "s1"));
    f.clock.advance(std::chrono::seconds(2));
    CHECK(f.cluster.guest_frozen("prod", "db-0"));
    REQUIRE(f.cluster.remove(k_snapshot, {"prod", "s1"}, {}, f.call(), {}).ok());
    f.clock.advance(std::chrono::seconds(6));
    CHECK_FALSE(f.cluster.guest_frozen("prod", "db-0"));
    CHECK(f.cluster.list_all(k_snapshot).empty());
    CHECK(f.cluster.list_all(k_content).empty());
    CHECK(f.cluster.find(k_vm, {"prod", "db-0"})->path({"status", "snapshotInProgress"}).is_null());
  }
}

TEST_CASE("a freeze that takes longer than 10 s is refused and happens all the same") {
  Fixture f({.ns = "prod", .name = "db-0", .knobs = {{"freeze", "slow:14s"}}});
  const Value body = Value::object({{"unfreezeTimeout", "8s"}});
  const base::Result<Value> answer = f.cluster.put_subresource(k_vmi_sub, {"prod", "db-0"}, "freeze", body, f.call(), {});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().message().find("Client.Timeout exceeded while awaiting headers") != std::string::npos);
  CHECK_FALSE(f.cluster.guest_frozen("prod", "db-0"));
  f.clock.advance(std::chrono::seconds(5));
  CHECK(f.cluster.guest_frozen("prod", "db-0"));
  f.clock.advance(std::chrono::seconds(9));
  CHECK_FALSE(f.cluster.guest_frozen("prod", "db-0"));
}

TEST_CASE("Windows lets go after 10 s: QuiesceTimeout, and silence on 1.7.0") {
  for (const char* version : {"1.9.0", "1.7.0"}) {
    Fixture f({.ns = "prod", .name = "win", .storage_class = "rig", .knobs = {{"os", "windows"}}}, {.kubevirt = version});
    Value slow = Value::object({{"apiVersion", "snapshot.storage.k8s.io/v1"},
                                {"kind", "VolumeSnapshotClass"},
                                {"driver", "csi.vmbackup.test"},
                                {"deletionPolicy", "Delete"}});
    slow["metadata"].set("name", "rig-snap");
    slow["parameters"].set("snapshotDelay", "12s");
    f.cluster.apply(slow);
    f.create(snapshot_of("win", "s1"));
    f.clock.advance(std::chrono::seconds(30));
    CHECK(f.phase("s1") == "Succeeded");
    CHECK(f.indications("s1") == (std::string(version) == "1.9.0" ? "GuestAgent Online QuiesceTimeout" : "GuestAgent Online"));
    CHECK(f.events().find("cut:running") != std::string::npos);
  }
}

TEST_CASE("1.7.0 says QuiesceFailed when the freeze fails") {
  Fixture f({.ns = "prod", .name = "db-0", .knobs = {{"freeze", "fail"}}}, {.kubevirt = "1.7.0"});
  f.create(snapshot_of("db-0", "s1", "8s"));
  f.clock.advance(std::chrono::seconds(10));
  CHECK(f.phase("s1") == "Failed");
  CHECK(f.indications("s1") == "GuestAgent Online QuiesceFailed");
  CHECK(f.snapshot("s1").path({"status", "error", "message"}).as_string().find("Failed freezing vm db-0: Internal error occurred") == 0);
}

TEST_CASE("a thaw that fails for ever ends at the deadline, with no error told, and the disks are given up") {
  Fixture f({.ns = "prod", .name = "db-0", .knobs = {{"thaw", "fail"}}});
  f.create(snapshot_of("db-0", "s1", "6s"));
  f.clock.advance(std::chrono::seconds(3));
  CHECK(f.phase("s1") == "InProgress");
  CHECK(f.snapshot("s1").path({"status", "error"}).is_null());
  f.clock.advance(std::chrono::seconds(6));
  CHECK(f.phase("s1") == "Failed");
  CHECK(f.cluster.guest_frozen("prod", "db-0"));
  CHECK(f.cluster.list_all(k_content).empty());
}

}  // namespace
}  // namespace vmbackup::test
