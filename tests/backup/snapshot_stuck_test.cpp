#include <doctest/doctest.h>

#include <map>

#include "backup/snapshot_watch.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::Milestone;
using backup::SnapshotEnd;
using test::Fault;

class Silent final : public backup::Observer {
 public:
  void on(const backup::Event&) override {}
};

struct Story {
  Story() : cluster(clock) {}
  void vm(const std::string& storage_class = "rig", bool running = false) {
    for (const json::Value& object :
         test::manifest_of({.ns = "prod", .name = "db-0", .storage_class = storage_class, .running = running})) {
      cluster.apply(object);
    }
    cluster.settle();
  }
  void storage(const std::string& parameters, const std::string& name = "own") {
    cluster.apply_manifest("apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: " + name +
                           "}\nprovisioner: csi.vmbackup.test\nparameters: " + parameters + "\n");
  }
  void create(const std::string& name = "s1", const std::string& vm = "db-0") {
    const base::Result<json::Value> made = cluster.create(
        snapshots, "prod",
        kubevirt::encode(
            {.ns = "prod", .name = name, .vm = vm, .failure_deadline = {}, .deletion_policy = {}, .labels = {}, .annotations = {}},
            "v1beta1"),
        {.deadline = base::Deadline::after(clock, 1min)}, {});
    REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().message()));
  }
  // Waits for s1, and how long that took.
  SnapshotEnd wait(bool wait_on_error = false, Milestone milestone = Milestone::ready) {
    const base::TimePoint begin = clock.now();
    const backup::WatchScope scope{
        .api_version = "v1beta1", .one = true, .ns = "prod", .label_selector = {}, .wait_on_error = wait_on_error};
    backup::SnapshotWatch watch(cluster, clock, silent, scope, milestone);
    watch.add({.name = {"prod", "s1"}, .uid = {}, .vm = {}, .planned = {}});
    SnapshotEnd end = watch.next(base::Deadline::after(clock, 20min), {});
    took = clock.now() - begin;
    return end;
  }

  const kube::Resource snapshots = kubevirt::vm_snapshots("v1beta1");
  test::FakeClock clock;
  test::FakeCluster cluster;
  Silent silent;
  base::Duration took{};
};

// What the error says, or nothing.
std::string said(const SnapshotEnd& end) { return end.reached.ok() ? std::string() : end.reached.error().message(); }

TEST_CASE("an error that heals within its time is a success") {
  for (const char* parameters : {"{failSnapshots: 'first:3', failCode: InvalidArgument}", "{failSnapshots: 'first:9'}"}) {
    CAPTURE(parameters);
    Story story;
    story.storage(parameters);
    story.vm("own");
    story.create();
    const SnapshotEnd end = story.wait();
    CHECK_MESSAGE(end.reached.ok(), said(end));
    CHECK_FALSE(end.stuck);
  }
}

TEST_CASE("an old error of a disk that is cut, and not ready for long, ends nothing") {
  Story story;
  story.storage("{failSnapshots: 'first:1', failCode: InvalidArgument, readyDelay: 5m}");
  story.vm("own");
  story.create();
  CHECK(story.wait().reached.ok());
  CHECK(story.took > 5min);
}

TEST_CASE("nothing ends on what a watch told long ago: the objects are read again, and have healed") {
  Story story;
  story.storage("{failSnapshots: always, failCode: InvalidArgument}");
  story.vm("own");
  story.create();
  story.clock.advance(3s);
  // The lists show the error, the watches never say a word.
  story.cluster.add_fault({.action = Fault::Action::hang, .method = "WATCH", .times = -1});
  story.clock.after(5s, [&] { story.storage("{failSnapshots: 'first:0'}"); });
  const SnapshotEnd end = story.wait();
  CHECK_MESSAGE(end.reached.ok(), said(end));
  CHECK(story.took >= 10s);
  CHECK(story.took < 15s);
  CHECK(story.cluster.unused_faults().empty());
}

TEST_CASE("a server that does not answer when it is asked again ends nothing") {
  Story story;
  story.storage("{failSnapshots: always, failCode: InvalidArgument}");
  story.vm("own");
  story.create();
  story.clock.after(5s, [&] {
    story.cluster.add_fault({.action = Fault::Action::status, .method = "GET", .path = "virtualmachinesnapshots/s1", .times = 2});
  });
  const SnapshotEnd end = story.wait();
  CHECK(end.stuck);
  CHECK(story.took >= 30s);
  CHECK(story.took < 45s);
  CHECK(story.cluster.unused_faults().empty());
}

TEST_CASE("a VM that is not there") {
  Story story;
  story.vm();
  story.cluster.erase(kubevirt::virtual_machines(), {"prod", "db-0"});
  story.cluster.settle();
  story.create();
  const SnapshotEnd end = story.wait();
  CHECK(end.stuck);
  CHECK(said(end).find("its VM db-0 does not exist") != std::string::npos);
  CHECK(story.took < 15s);
}

TEST_CASE("a VM that comes back in time") {
  Story story;
  story.vm();
  story.cluster.erase(kubevirt::virtual_machines(), {"prod", "db-0"});
  story.cluster.settle();
  story.create();
  story.clock.after(6s, [&] { story.vm(); });
  CHECK(story.wait().reached.ok());
}

TEST_CASE("a VM made again under its name before the cut: it is of another one") {
  Story story;
  story.vm("rig-wffc");
  story.create();
  story.clock.after(5s, [&] {
    story.cluster.erase_now(kubevirt::virtual_machines(), {"prod", "db-0"});
    story.vm("rig-wffc");
  });
  const SnapshotEnd end = story.wait(true);
  REQUIRE_FALSE(end.reached.ok());
  CHECK_FALSE(end.stuck);
  CHECK(said(end).find("is of another VM than it was made for") != std::string::npos);
  CHECK(story.took < 30s);
}

TEST_CASE("a lock of a snapshot that does not exist; one that does is waited for") {
  for (const bool exists : {false, true}) {
    CAPTURE(exists);
    Story story;
    story.storage("{snapshotDelay: 2m}");
    story.vm("own");
    if (exists) {
      story.create("s0");
      story.clock.advance(5s);
    } else {
      story.cluster.change(kubevirt::virtual_machines(), {"prod", "db-0"},
                           [](json::Value& vm) { vm["status"].set("snapshotInProgress", "s0"); });
    }
    story.create();
    const SnapshotEnd end = story.wait();
    CHECK(end.stuck == !exists);
    CHECK(end.reached.ok() == exists);
    if (!exists) CHECK(said(end).find("locked for the snapshot s0, which does not exist") != std::string::npos);
  }
}

TEST_CASE("classes that KubeVirt cannot choose between: only its log says so, and the VM's status") {
  Story story;
  story.vm();
  story.cluster.change(kubevirt::volume_snapshot_classes(), {"", "rig-snap"},
                       [](json::Value& object) { object["metadata"].erase("annotations"); });
  story.cluster.settle();
  story.create();
  const SnapshotEnd end = story.wait();
  CHECK(end.stuck);
  CHECK(said(end).find("2 matching VolumeSnapshotClasses for rig") != std::string::npos);
  CHECK(end.reached.error().hint().find("is-default-class=true") != std::string::npos);
  CHECK(end.reached.error().hint().ends_with("--wait-on-error"));
}

TEST_CASE("a disk that is not there") {
  Story story;
  story.vm();
  story.cluster.erase_now(kubevirt::persistent_volume_claims(), {"prod", "db-0-d1"});
  story.cluster.settle();
  story.create();
  const SnapshotEnd end = story.wait();
  CHECK(end.stuck);
  CHECK(said(end).find("volume doesnt exist") != std::string::npos);
  CHECK(story.took >= 60s);
}

TEST_CASE("what it waited for is told where KubeVirt gives it up") {
  Story story;
  story.vm();
  story.cluster.erase_now(kubevirt::persistent_volume_claims(), {"prod", "db-0-d1"});
  story.cluster.settle();
  story.create();
  const SnapshotEnd end = story.wait(true);
  CHECK_FALSE(end.stuck);
  CHECK(said(end).find("it was never begun: Source not locked source prod/db-0 volume doesnt exist") != std::string::npos);
}

TEST_CASE("a VolumeSnapshot that was cut and is gone: it will never be ready") {
  Story story;
  story.vm("rig-notready");
  story.create();
  story.clock.after(10s, [&] {
    for (const json::Value& object : story.cluster.list_all(kubevirt::volume_snapshots())) {
      story.cluster.erase_now(kubevirt::volume_snapshots(), {"prod", object.path({"metadata", "name"}).as_string()});
    }
  });
  const SnapshotEnd end = story.wait();
  CHECK(end.stuck);
  CHECK(said(end).find("missing") != std::string::npos);
  CHECK(story.took < 30s);
}

TEST_CASE("of many that stand still for one reason each ends, paced, and the others do not wait for them") {
  Story story;
  story.storage("{failSnapshots: always, failCode: InvalidArgument}");
  story.storage("{snapshotDelay: 12s}", "late");
  const backup::WatchScope scope{.api_version = "v1beta1", .ns = "prod", .label_selector = {}};
  backup::SnapshotWatch watch(story.cluster, story.clock, story.silent, scope, Milestone::ready);
  std::map<int, bool> good;
  for (int i = 0; i < 21; ++i) {
    const std::string name = "vm-" + std::to_string(i);
    const std::string storage_class = i == 20 ? "late" : "own";
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = name, .storage_class = storage_class, .running = false})) {
      story.cluster.apply(object);
    }
    story.cluster.settle();
    story.create(name, name);
    good[watch.add({.name = {"prod", name}, .uid = {}, .vm = {}, .planned = {}})] = i == 20;
  }
  int ended = 0;
  int ended_before_good = 0;
  while (watch.waiting() > 0) {
    const SnapshotEnd end = watch.next(base::Deadline::after(story.clock, 5min), {});
    CHECK(end.stuck == !good.at(end.target));
    if (good.at(end.target)) ended_before_good = ended;
    ++ended;
  }
  CHECK(ended == 21);
  CHECK(ended_before_good < 20);
}

}  // namespace
