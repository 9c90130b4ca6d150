#include "backup/snapshot.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "backup/run_id.hpp"
#include "backup/take_one.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using base::ErrorCode;
using test::Fault;

class Recorder final : public backup::Observer {
 public:
  void on(const backup::Event& event) override { events.push_back(event); }
  int count(backup::Event::Kind kind) const {
    return static_cast<int>(std::count_if(events.begin(), events.end(), [&](const backup::Event& event) { return event.kind == kind; }));
  }
  std::vector<backup::Event> events;
};

// A cluster with one VM, and what is needed to take a snapshot of it.
struct Story {
  explicit Story(test::VmManifest vm = {}, test::ClusterOptions options = {}) : cluster(clock, options) {
    vm.ns = "prod";
    vm.name = "db-0";
    for (const json::Value& object : test::manifest_of(vm)) cluster.apply(object);
    cluster.settle();
    cluster.forget_requests();
    request.selection.ns = "prod";
    request.selection.names = {"db-0"};
    request.run = "20260102-030405-0000";
  }

  base::Deadline in(base::Duration duration) { return base::Deadline::after(clock, duration); }
  base::Result<backup::SnapshotPlan> plan() { return test::plan_one(cluster, clock, request, in(2min)); }
  backup::SnapshotItem take(backup::WaitFor wait = backup::WaitFor::ready, base::Duration timeout = 30min) {
    const base::Result<backup::SnapshotPlan> planned = plan();
    REQUIRE_MESSAGE(planned.ok(), (planned.ok() ? "" : planned.error().message()));
    backup::TakeOptions take_how = how;
    take_how.wait = wait;
    return test::take_one(cluster, clock, recorder, *planned, take_how, in(timeout), stop.get_token());
  }
  void pod(const std::string& name, const std::string& claim) {
    cluster.apply_manifest("apiVersion: v1\nkind: Pod\nmetadata: {namespace: prod, name: " + name +
                           "}\nspec:\n  containers: [{name: main}]\n  volumes: [{name: disk, persistentVolumeClaim: {claimName: " + claim +
                           "}}]\n");
  }
  std::size_t snapshots() const { return cluster.list_all(kubevirt::vm_snapshots("v1beta1")).size(); }
  kube::Name snapshot_name() const { return {"prod", backup::snapshot_name("db-0", request.run)}; }

  test::FakeClock clock;
  test::FakeCluster cluster;
  backup::SnapshotRequest request;
  backup::TakeOptions how{.threads = false, .events = false};
  Recorder recorder;
  std::stop_source stop;
};

TEST_CASE("labels of the user's stand beside ours and never in their place") {
  Story story;
  story.request.labels = {{"keep", "true"}, {backup::k_run_label, "forged"}, {backup::k_managed_by_label, "forged"}};
  const backup::SnapshotItem item = story.take();
  CHECK(item.outcome == backup::Outcome::done);
  using Labels = std::vector<std::pair<std::string, std::string>>;
  CHECK(item.labels ==
        Labels{{backup::k_managed_by_label, backup::k_managed_by}, {"keep", "true"}, {backup::k_run_label, story.request.run}});
}

TEST_CASE("a running VM with an agent: ready, its disks cut, KubeVirt's words kept") {
  Story story({.volumes = {"root", "data"}});
  const backup::SnapshotItem item = story.take();
  CHECK(item.outcome == backup::Outcome::done);
  if (item.error) MESSAGE(item.error->message());
  CHECK_FALSE(item.error.has_value());
  CHECK(item.phase == "Succeeded");
  CHECK(item.ready_to_use);
  CHECK(item.complete);
  CHECK(item.indications == std::vector<std::string>{"GuestAgent", "Online"});
  REQUIRE(item.disks.size() == 2);
  for (const backup::DiskReport& disk : item.disks) {
    CHECK(disk.included);
    CHECK(disk.cut_time.has_value());
    CHECK(disk.snapshot_class == "rig-snap");
  }
  CHECK(story.recorder.count(backup::Event::Kind::created) == 1);
  CHECK(story.recorder.count(backup::Event::Kind::cut) == 2);
  CHECK(story.recorder.count(backup::Event::Kind::ready) == 1);
  CHECK_FALSE(story.cluster.guest_frozen("prod", "db-0"));
}

TEST_CASE("one snapshot that we hold costs seven requests of its own, and 22 in all") {
  Story story({.volumes = {"root", "data"}});
  REQUIRE(story.take().outcome == backup::Outcome::done);
  const std::vector<test::RequestRecord> requests = story.cluster.requests();
  const auto count = [&requests](auto fits) { return std::count_if(requests.begin(), requests.end(), fits); };
  // Of the VM: freeze, create, unfreeze, evidence, its agent's word, its instance after the cuts; beside them the VM itself, the API group,
  // and two questions for rights.
  CHECK(count([](const test::RequestRecord& r) { return r.method == "PUT" || r.method == "PATCH"; }) == 3);
  CHECK(count([](const test::RequestRecord& r) { return r.method == "POST"; }) == 3);
  CHECK(count([](const test::RequestRecord& r) { return !r.watch; }) <= 22);
}

TEST_CASE("without an agent, and stopped: the indications say so, the plan warns") {
  Story without({.knobs = {{"agent", "none"}}});
  REQUIRE(without.plan().ok());
  CHECK(without.plan()->agent_connected == false);
  CHECK(without.plan()->warnings.size() == 1);
  CHECK(without.take().indications == std::vector<std::string>{"NoGuestAgent", "Online"});

  Story stopped({.running = false});
  CHECK_FALSE(stopped.plan()->running);
  CHECK(stopped.plan()->warnings.empty());
  const backup::SnapshotItem item = stopped.take();
  CHECK(item.outcome == backup::Outcome::done);
  CHECK(item.indications.empty());
}

TEST_CASE("a VM that is not there is refused before anything is created, with the nearest name") {
  Story story;
  story.request.selection.names = {"db-O"};
  const base::Result<backup::SnapshotPlan> plan = story.plan();
  REQUIRE_FALSE(plan.ok());
  CHECK(plan.error().code() == ErrorCode::not_found);
  CHECK(plan.error().message() == "VirtualMachine prod/db-O not found");
  CHECK(plan.error().hint() == "did you mean \"db-0\"?");
  CHECK(story.snapshots() == 0);
}

TEST_CASE("no snapshot API, and the gate off") {
  Story without({}, {.snapshot_api = false});
  const base::Result<backup::SnapshotPlan> plan = without.plan();
  REQUIRE_FALSE(plan.ok());
  CHECK(plan.error().code() == ErrorCode::precondition);
  CHECK(plan.error().message().find("snapshot.kubevirt.io") != std::string::npos);

  Story gated({}, {.snapshot_gate = false});
  const backup::SnapshotItem item = gated.take();
  CHECK(item.outcome == backup::Outcome::failed);
  REQUIRE(item.error.has_value());
  CHECK(item.error->message().find("snapshot feature gate not enabled") != std::string::npos);
  CHECK(item.error->hint().find("featureGates") != std::string::npos);
  CHECK(item.left.empty());
}

TEST_CASE("no disk that can be snapshotted: refused, for KubeVirt would call it Succeeded") {
  Story story({.volumes = {"root", "data"}, .storage_class = "plain"});
  const base::Result<backup::SnapshotPlan> plan = story.plan();
  REQUIRE_FALSE(plan.ok());
  CHECK(plan.error().code() == ErrorCode::precondition);
  CHECK(plan.error().causes().size() == 2);
  CHECK(plan.error().causes()[0].find("disk root: no VolumeSnapshotClass") == 0);
  CHECK(story.snapshots() == 0);
}

TEST_CASE("what can never succeed is refused, and created all the same by force, with a remark that stays") {
  Story story({.running = false});
  story.pod("reader", "db-0-d1");
  const base::Result<backup::SnapshotPlan> refused = story.plan();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code() == ErrorCode::conflict);
  REQUIRE(refused.error().causes().size() == 1);
  CHECK(refused.error().causes()[0] == "disk root: pod reader uses claim db-0-d1 while the VM does not run");
  CHECK(refused.error().hint().find("kubectl describe pod reader -n prod") != std::string::npos);
  CHECK(refused.error().hint().find("--force") != std::string::npos);
  CHECK(story.snapshots() == 0);

  story.request.force = true;
  REQUIRE(story.plan().ok());
  const std::vector<std::string> forced = story.plan()->forced;
  REQUIRE(forced.size() == 1);
  CHECK(forced[0].find("pod reader uses claim db-0-d1") != std::string::npos);
  CHECK(story.plan()->warnings == forced);
  story.clock.after(7s, [&] { story.cluster.erase_now(kubevirt::pods(), {"prod", "reader"}); });
  const backup::SnapshotItem item = story.take();
  CHECK(item.outcome == backup::Outcome::done);
  CHECK(std::find(item.reasons.begin(), item.reasons.end(), forced[0]) != item.reasons.end());

  story.pod("reader", "db-0-d1");
  story.request.name = "second";
  CHECK(story.take(backup::WaitFor::none).reasons == forced);
}

TEST_CASE("several things in the way: all are named, and it is busy only where nothing else is") {
  Story story({.volumes = {"root", "data"}, .running = false});
  story.pod("reader", "db-0-d1");
  story.cluster.erase_now(kubevirt::persistent_volume_claims(), {"prod", "db-0-d2"});
  const base::Result<backup::SnapshotPlan> refused = story.plan();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code() == ErrorCode::precondition);
  CHECK(refused.error().causes().size() == 2);
}

TEST_CASE("force overrides nothing that KubeVirt cannot wait for") {
  Story busy;
  busy.request.force = true;
  busy.cluster.change(kubevirt::virtual_machines(), {"prod", "db-0"},
                      [](json::Value& vm) { vm["status"].set("snapshotInProgress", "other"); });
  CHECK(busy.plan().error().code() == ErrorCode::conflict);

  Story going;
  going.request.force = true;
  const kube::Name name{"prod", "db-0"};
  going.cluster.change(kubevirt::virtual_machines(), name,
                       [](json::Value& vm) { vm["metadata"].set("finalizers", json::Value::array({"test.example/held"})); });
  going.cluster.erase(kubevirt::virtual_machines(), name);
  REQUIRE_FALSE(going.plan().ok());
  CHECK(going.plan().error().message().find("is being deleted") != std::string::npos);

  Story silent({.knobs = {{"agent", "none"}}});
  silent.request.force = true;
  silent.request.hold = backup::HoldWish::freeze;
  CHECK(silent.plan().error().message().find("no guest agent is connected") != std::string::npos);

  Story watched;
  watched.request.force = true;
  watched.request.hold = backup::HoldWish::freeze;
  watched.cluster.add_fault(
      {.action = Fault::Action::status, .method = "GET", .path = "/virtualmachineinstances", .times = -1, .status = 403});
  CHECK(watched.plan().error().code() == ErrorCode::forbidden);
}

TEST_CASE("what passes by itself is a warning, and no guest of ours stands still for it") {
  Story story({.volumes = {"root", "data"}});
  story.cluster.change(kubevirt::persistent_volume_claims(), {"prod", "db-0-d2"},
                       [](json::Value& claim) { claim["status"].set("phase", "Pending"); });
  const base::Result<backup::SnapshotPlan> plan = story.plan();
  REQUIRE(plan.ok());
  CHECK(plan->waits.size() == 1);
  CHECK(plan->forced.empty());
  CHECK(plan->hold == kubevirt::Hold::controller);
  CHECK(plan->safety_timeout == 0s);
  REQUIRE(plan->warnings.size() == 2);
  CHECK(plan->warnings[0] == "disk data: claim db-0-d2 is not bound; KubeVirt would wait for that until the failure deadline");
  CHECK(plan->warnings[1].find("the freeze is left to KubeVirt") == 0);
  // Where nobody but us is to hold it, it is busy; force does not help.
  for (const backup::HoldWish wish : {backup::HoldWish::freeze, backup::HoldWish::pause, backup::HoldWish::freeze_pause}) {
    story.request.hold = wish;
    story.request.force = wish == backup::HoldWish::pause;
    const base::Result<backup::SnapshotPlan> refused = story.plan();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code() == ErrorCode::conflict);
    CHECK(refused.error().causes() == std::vector<std::string>{plan->warnings[0]});
    CHECK(refused.error().hint().find("--hold controller") != std::string::npos);
  }
  story.request.force = false;
  story.request.hold = backup::HoldWish::automatic;
  story.request.group = true;
  REQUIRE_FALSE(story.plan().ok());
  CHECK(story.plan().error().hint() == "take it when that is over");
  // Nor are applications quiesced for it.
  story.request.group = false;
  story.request.recipe.emplace();
  REQUIRE_FALSE(story.plan().ok());
  CHECK(story.plan().error().hint() == "take it when that is over");
}

TEST_CASE("a run that is taken up follows what it created, whatever has become of the disks since") {
  Story story({.running = false});
  REQUIRE(story.take().outcome == backup::Outcome::done);
  story.pod("reader", "db-0-d1");
  REQUIRE_FALSE(story.plan().ok());
  story.request.resumes = true;
  REQUIRE(story.plan().ok());
  CHECK(story.take().outcome == backup::Outcome::done);
  CHECK(story.snapshots() == 1);
}

TEST_CASE("classes: a status that is behind them does not refuse, and one of another driver is refused") {
  Story story({.storage_class = "rig-retain"});
  story.cluster.change(kubevirt::virtual_machines(), {"prod", "db-0"}, [](json::Value& vm) {
    vm["status"].set("volumeSnapshotStatuses",
                     json::Value::array({json::Value::object(
                         {{"name", "root"}, {"enabled", false}, {"reason", "2 matching VolumeSnapshotClasses for rig"}})}));
  });
  REQUIRE(story.plan().ok());
  CHECK(story.plan()->disks[0].included);
  CHECK(story.plan()->complete());

  story.cluster.apply_manifest(
      "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshotClass\nmetadata: {name: other-driver}\ndriver: other.example\n"
      "deletionPolicy: Delete\n");
  story.cluster.apply_manifest("apiVersion: cdi.kubevirt.io/v1beta1\nkind: StorageProfile\nmetadata: {name: rig-retain}\nspec: {}\n");
  story.cluster.change(kubevirt::storage_profiles(), {"", "rig-retain"},
                       [](json::Value& profile) { profile["status"].set("snapshotClass", "other-driver"); });
  const base::Result<backup::SnapshotPlan> refused = story.plan();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message().find("of another driver for disk root") != std::string::npos);
  CHECK(refused.error().hint().find("kubectl edit storageprofile rig-retain") != std::string::npos);
}

TEST_CASE("a snapshot whose VM was looked at long before says so among what it assumes") {
  Story story({.volumes = {"root", "data"}});
  const base::Result<backup::SnapshotPlan> planned = story.plan();
  REQUIRE(planned.ok());
  const auto take = [&](const char* name) {
    backup::SnapshotPlan plan = *planned;
    plan.snapshot.name = name;
    const backup::SnapshotItem item = test::take_one(story.cluster, story.clock, story.recorder, plan, story.how, story.in(30min));
    REQUIRE(item.judged);
    CHECK(item.judged->verdict.level == backup::Level::filesystem);
    return item.judged->verdict.assumptions;
  };
  const auto told = [](const std::vector<std::string>& assumptions) {
    return std::count_if(assumptions.begin(), assumptions.end(),
                         [](const std::string& text) { return text.find("who else mounts the disks") == 0; });
  };
  CHECK(told(take("soon")) == 0);
  story.clock.advance(3min);
  const std::vector<std::string> late = take("late");
  CHECK(told(late) == 1);
  const std::string& text = *std::find_if(late.begin(), late.end(), [](const std::string& each) { return each.find("who else") == 0; });
  CHECK(text.find("looked at, 3m") != std::string::npos);
}

TEST_CASE("another snapshot of the VM under way is busy, not failed") {
  Story story;
  story.cluster.change(kubevirt::virtual_machines(), {"prod", "db-0"},
                       [](json::Value& vm) { vm["status"].set("snapshotInProgress", "other"); });
  const base::Result<backup::SnapshotPlan> plan = story.plan();
  REQUIRE_FALSE(plan.ok());
  CHECK(plan.error().code() == ErrorCode::conflict);
  CHECK(plan.error().message().find("other") != std::string::npos);
}

TEST_CASE("a snapshot that has just ended does not make the VM busy, though KubeVirt has not let it go yet") {
  Story story;
  REQUIRE(story.take().outcome == backup::Outcome::done);
  const std::string first = story.snapshot_name().name;
  story.cluster.change(kubevirt::virtual_machines(), {"prod", "db-0"},
                       [&](json::Value& vm) { vm["status"].set("snapshotInProgress", first); });
  CHECK(story.plan().ok());
}

TEST_CASE("a name that is taken: by another run, and by somebody else") {
  Story story;
  REQUIRE(story.take().outcome == backup::Outcome::done);
  const kube::Name taken = story.snapshot_name();
  story.request.name = taken.name;
  story.request.run = "20260102-030405-1111";
  const backup::SnapshotItem ours = story.take();
  REQUIRE(ours.error.has_value());
  CHECK(ours.error->code() == ErrorCode::already_exists);
  CHECK(ours.error->message().find("made by run 20260102-030405-0000 of this tool") != std::string::npos);

  story.cluster.change(kubevirt::vm_snapshots("v1beta1"), taken, [](json::Value& object) { object["metadata"].erase("labels"); });
  const backup::SnapshotItem theirs = story.take();
  REQUIRE(theirs.error.has_value());
  CHECK(theirs.error->message().find("not made by this tool") != std::string::npos);
  CHECK(story.snapshots() == 1);
}

TEST_CASE("a create whose answer was lost is found again by its run, not made twice") {
  Story story;
  const base::Result<backup::SnapshotPlan> plan = story.plan();
  REQUIRE(plan.ok());
  // The first try as it was executed by the server; its answer never arrived.
  REQUIRE(story.cluster.create(kubevirt::vm_snapshots("v1beta1"), "prod", kubevirt::encode(plan->snapshot, "v1beta1"), {}, {}).ok());
  const backup::SnapshotItem item = test::take_one(story.cluster, story.clock, story.recorder, *plan, story.how, story.in(5min));
  CHECK(item.outcome == backup::Outcome::done);
  CHECK(story.snapshots() == 1);
}

TEST_CASE("storage that refuses for ever: failed at KubeVirt's deadline, with the storage's words") {
  Story story({.storage_class = "rig-failsnap"});
  story.request.failure_deadline = 30s;
  const backup::SnapshotItem item = story.take();
  CHECK(item.outcome == backup::Outcome::failed);
  CHECK(item.phase == "Failed");
  REQUIRE(item.error.has_value());
  CHECK(item.error->code() == ErrorCode::internal);
  CHECK(item.error->message().find("snapshot refused by the array") != std::string::npos);
  CHECK(item.error->hint().find("delete") != std::string::npos);
  REQUIRE(item.left.size() == 1);
  CHECK(item.left[0].find("Failed") != std::string::npos);
}

TEST_CASE("storage that refuses once heals, and the error was told meanwhile") {
  Story story({.storage_class = "rig-failonce"});
  const backup::SnapshotItem item = story.take();
  CHECK(item.outcome == backup::Outcome::done);
  CHECK(story.recorder.count(backup::Event::Kind::waiting) + story.recorder.count(backup::Event::Kind::disk_error) >= 1);
}

// A StorageClass whose driver refuses every snapshot with this gRPC code.
std::string refusing_class(const std::string& code) {
  return "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: refusing}\nprovisioner: csi.vmbackup.test\nparameters: "
         "{failSnapshots: always, failCode: " +
         code + "}\n";
}

struct Refused : Story {
  explicit Refused(const std::string& code, test::VmManifest vm = {}) : Story(std::move(vm)) {
    cluster.apply_manifest(refusing_class(code));
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-1", .storage_class = "refusing"})) cluster.apply(object);
    cluster.settle();
    request.selection.names = {"db-1"};
  }
};

TEST_CASE("storage that refuses with a final code: the guest that we hold is let go after its snapshot was deleted") {
  for (const backup::HoldWish hold : {backup::HoldWish::freeze, backup::HoldWish::controller}) {
    CAPTURE(static_cast<int>(hold));
    Refused story("InvalidArgument");
    story.request.hold = hold;
    const base::TimePoint begin = story.clock.now();
    const backup::SnapshotItem item = story.take();
    const base::Duration took = story.clock.now() - begin;
    CHECK(took >= 10s);
    CHECK(took < 30s);
    REQUIRE(item.error.has_value());
    CHECK(item.error->code() == ErrorCode::internal);
    CHECK(item.error->message().find("code = InvalidArgument") != std::string::npos);
    CHECK(item.error->message().find("failure deadline of 5m") != std::string::npos);
    CHECK(item.error->message().ends_with("was deleted"));
    CHECK(item.error->hint() == "to go on trying until then: kubectl vmbackup snapshot db-1 -n prod --wait-on-error");
    CHECK(item.left.empty());
    CHECK(story.snapshots() == 0);
    CHECK_FALSE(story.cluster.guest_frozen("prod", "db-1"));
    REQUIRE(item.freeze.has_value());
    CHECK(item.freeze->thaw_confirmed.has_value());
    CHECK_FALSE(item.freeze->held);
    // The delete comes before the first thaw of ours.
    std::vector<std::string> order;
    for (const test::RequestRecord& request : story.cluster.requests()) {
      if (request.method == "DELETE") order.push_back("delete");
      if (request.target.find("/unfreeze") != std::string::npos) order.push_back("thaw");
    }
    REQUIRE(order.size() >= 2);
    CHECK(order[0] == "delete");
    CHECK(order[1] == "thaw");
  }
}

TEST_CASE("the same where no guest stands still: the snapshot stays, and is named") {
  Refused story("InvalidArgument");
  story.cluster.erase(kubevirt::virtual_machines(), {"prod", "db-1"});
  story.cluster.settle();
  for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-1", .storage_class = "refusing", .running = false})) {
    story.cluster.apply(object);
  }
  story.cluster.settle();
  const backup::SnapshotItem item = story.take();
  REQUIRE(item.error.has_value());
  CHECK(item.error->code() == ErrorCode::internal);
  CHECK(item.error->hint().ends_with("--wait-on-error"));
  REQUIRE(item.left.size() == 1);
  CHECK(item.left[0].ends_with("InProgress"));
  CHECK(story.snapshots() == 1);
}

TEST_CASE("an error that may heal has a minute, and ends nothing with wait_on_error") {
  for (const bool goes_on : {false, true}) {
    CAPTURE(goes_on);
    Refused story("Internal");
    story.request.hold = backup::HoldWish::controller;
    story.how.wait_on_error = goes_on;
    const base::TimePoint begin = story.clock.now();
    const backup::SnapshotItem item = story.take();
    const base::Duration took = story.clock.now() - begin;
    REQUIRE(item.error.has_value());
    CHECK(item.error->code() == ErrorCode::internal);
    CHECK(took >= (goes_on ? 290s : 60s));
    CHECK(took < (goes_on ? 330s : 90s));
    CHECK(story.snapshots() == (goes_on ? 1 : 0));
    CHECK_FALSE(story.cluster.guest_frozen("prod", "db-1"));
  }
}

TEST_CASE("a storage that is still at it, by its code, is left to KubeVirt's deadline") {
  Refused story("Aborted");
  story.request.hold = backup::HoldWish::controller;
  const backup::SnapshotItem item = story.take();
  CHECK(item.phase == "Failed");
}

TEST_CASE("a thaw of KubeVirt's that fails without a word in any object ends after a minute") {
  Story story({.knobs = {{"thaw", "fail"}}});
  story.request.hold = backup::HoldWish::controller;
  const base::TimePoint begin = story.clock.now();
  const backup::SnapshotItem item = story.take();
  REQUIRE(item.error.has_value());
  CHECK(item.phase == "InProgress");
  REQUIRE(item.freeze.has_value());
  CHECK(item.freeze->held);
  CHECK(story.snapshots() == 0);
  CHECK(story.clock.now() - begin < 5min);
}

TEST_CASE("a freeze that fails until the deadline") {
  Story story({.knobs = {{"freeze", "fail"}}});
  story.request.failure_deadline = 20s;
  const backup::SnapshotItem item = story.take();
  CHECK(item.phase == "Failed");
  REQUIRE(item.error.has_value());
  CHECK(item.error->message().find("reeze") != std::string::npos);
  CHECK_FALSE(story.cluster.guest_frozen("prod", "db-0"));
}

TEST_CASE("cut, but never ready: the wait for the cut ends, the wait for ready ends at the deadline and says what is left") {
  Story story({.storage_class = "rig-notready"});
  CHECK(story.take(backup::WaitFor::cut).outcome == backup::Outcome::done);
  story.clock.advance(1s);  // the VM is let go a moment after the word Succeeded
  story.request.name = "second";
  const backup::SnapshotItem item = story.take(backup::WaitFor::ready, 1min);
  REQUIRE(item.error.has_value());
  CHECK(item.error->code() == ErrorCode::timeout);
  REQUIRE(item.left.size() == 1);
  CHECK(item.left[0] == "VirtualMachineSnapshot prod/second, Succeeded, not ready to use");
  CHECK(item.error->hint().find("kubectl vmbackup wait vmsnapshot/second -n prod") != std::string::npos);
}

TEST_CASE("no wait: created, and what was left is named") {
  Story story;
  const backup::SnapshotItem item = story.take(backup::WaitFor::none);
  CHECK(item.outcome == backup::Outcome::done);
  CHECK_FALSE(item.ready_to_use);
  CHECK(item.left.size() == 1);
}

TEST_CASE("deleted by someone while we wait, plainly and under a new object of the same name") {
  for (const bool again : {false, true}) {
    CAPTURE(again);
    Story story({.storage_class = "rig-notready"});
    const kube::Resource resource = kubevirt::vm_snapshots("v1beta1");
    story.clock.after(10s, [&] {
      json::Value object = *story.cluster.find(resource, story.snapshot_name());
      story.cluster.erase_now(resource, story.snapshot_name());
      if (!again) return;
      object["metadata"].erase("uid");
      object["metadata"].erase("resourceVersion");
      object.erase("status");
      story.cluster.apply(object);
    });
    const backup::SnapshotItem item = story.take();
    REQUIRE(item.error.has_value());
    CHECK(item.error->code() == ErrorCode::not_found);
    CHECK(item.error->message().find("deleted by someone else") != std::string::npos);
    CHECK(item.left.empty());
  }
}

TEST_CASE("a stop ends the wait, not the snapshot") {
  Story story({.storage_class = "rig-notready"});
  story.clock.after(10s, [&] { story.stop.request_stop(); });
  const backup::SnapshotItem item = story.take();
  REQUIRE(item.error.has_value());
  CHECK(item.error->code() == ErrorCode::cancelled);
  CHECK(item.left.size() == 1);
  CHECK(story.snapshots() == 1);
}

TEST_CASE("watches that end, break or expire do not end the wait") {
  for (const Fault::Action action : {Fault::Action::end_watch, Fault::Action::cut_watch, Fault::Action::expired}) {
    CAPTURE(test::to_string(action));
    Story story({.volumes = {"root", "data"}, .storage_class = "rig-slow"});
    story.cluster.add_fault({.action = action, .method = "WATCH", .path = "virtualmachinesnapshots", .after_events = 1});
    const backup::SnapshotItem item = story.take();
    CHECK(item.outcome == backup::Outcome::done);
    CHECK(story.cluster.unused_faults().empty());
    CHECK((story.recorder.count(backup::Event::Kind::watch_gap) > 0) == (action == Fault::Action::expired));
  }
}

TEST_CASE("who may not read VolumeSnapshots gets a report without their details") {
  Story story;
  story.cluster.add_fault({.action = Fault::Action::status, .method = "GET", .path = "/volumesnapshots", .times = -1, .status = 403});
  const backup::SnapshotItem item = story.take();
  CHECK(item.outcome == backup::Outcome::done);
  CHECK(item.complete);
  REQUIRE(item.disks.size() == 1);
  CHECK(item.disks[0].cut_time.has_value());          // the content has it
  CHECK(item.disks[0].snapshot_class == "rig-snap");  // the plan knew it
  CHECK(item.reasons.size() == 1);
}

TEST_CASE("snapshots that may not be followed: that of a guest that we hold is deleted before the thaw, another is left and named") {
  for (const backup::HoldWish hold : {backup::HoldWish::freeze, backup::HoldWish::controller}) {
    CAPTURE(static_cast<int>(hold));
    const bool ours = hold == backup::HoldWish::freeze;
    Story story;
    story.request.hold = hold;
    story.cluster.add_fault(
        {.action = Fault::Action::status, .method = "GET", .path = "/virtualmachinesnapshots?", .times = -1, .status = 403});
    const backup::SnapshotItem item = story.take();
    REQUIRE(item.error.has_value());
    CHECK(item.error->code() == ErrorCode::forbidden);
    REQUIRE(item.left.size() == 1);
    CHECK(item.left[0].find(ours ? "waiting for the deletion" : "VirtualMachineSnapshot prod/") == 0);
    std::vector<std::string> order;
    for (const test::RequestRecord& request : story.cluster.requests()) {
      if (request.method == "DELETE") order.push_back("delete");
      if (request.target.find("/unfreeze") != std::string::npos) order.push_back("thaw");
    }
    if (order.size() > 2) order.resize(2);  // what follows waits for the end of the deletion
    CHECK(order == (ours ? std::vector<std::string>{"delete", "thaw"} : std::vector<std::string>{}));
    story.cluster.settle();
    CHECK(story.snapshots() == (ours ? 0 : 1));
    CHECK_FALSE(story.cluster.guest_frozen("prod", "db-0"));
  }
}

TEST_CASE("a rehearsal asks the server and creates nothing") {
  Story story;
  const base::Result<backup::SnapshotPlan> plan = story.plan();
  REQUIRE(plan.ok());
  CHECK(backup::rehearse_snapshot(story.cluster, *plan, story.in(1min), {}).ok());
  CHECK(story.snapshots() == 0);
}

}  // namespace
