#include "backup/inventory.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "backup/select.hpp"
#include "backup/take_one.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using base::ErrorCode;

struct Silent final : backup::Observer {
  void on(const backup::Event&) override {}
};

struct Story {
  Story() : cluster(clock) {
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0", .volumes = {"root", "data"}})) cluster.apply(object);
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "web-0"})) cluster.apply(object);
    cluster.settle();
  }
  base::Deadline in(base::Duration duration) { return base::Deadline::after(clock, duration); }
  void take(const std::string& vm, const std::string& name, const std::string& policy = "") {
    backup::SnapshotRequest wish{.selection = {.ns = "prod", .names = {vm}}, .run = "r", .name = name, .deletion_policy = policy};
    const base::Result<backup::SnapshotPlan> plan = test::plan_one(cluster, clock, wish, in(1min));
    REQUIRE(plan.ok());
    REQUIRE(test::take_one(cluster, clock, silent, *plan, {.threads = false, .events = false}, in(5min)).outcome == backup::Outcome::done);
    clock.advance(1s);
  }
  std::vector<backup::SnapshotItem> await(const std::vector<std::string>& names, backup::AwaitState state) {
    return backup::await_snapshots(cluster, clock, silent, "prod", names, state, false, in(1min), {});
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
  Silent silent;
};

TEST_CASE("showing one, and one that is not there") {
  Story story;
  story.take("db-0", "d1");
  const base::Result<backup::SnapshotItem> item = backup::show_snapshot(story.cluster, {"prod", "d1"}, false, story.in(1min), {});
  REQUIRE(item.ok());
  CHECK(item->outcome == backup::Outcome::done);
  CHECK(item->disks.size() == 2);
  CHECK(std::all_of(item->disks.begin(), item->disks.end(), [](const backup::DiskReport& disk) { return disk.cut_time.has_value(); }));
  const base::Result<backup::SnapshotItem> none = backup::show_snapshot(story.cluster, {"prod", "d2"}, false, story.in(1min), {});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().message() == "VirtualMachineSnapshot prod/d2 not found");
  CHECK(none.error().hint() == "did you mean \"d1\"?");
}

TEST_CASE("waiting for one that is ready, that is not there, and that goes") {
  Story story;
  story.take("db-0", "d1");
  const backup::SnapshotItem ready = story.await({"d1"}, backup::AwaitState::ready).front();
  CHECK(ready.outcome == backup::Outcome::done);
  CHECK(ready.disks.size() == 2);
  const backup::SnapshotItem none = story.await({"x"}, backup::AwaitState::ready).front();
  REQUIRE(none.error.has_value());
  CHECK(none.error->code() == ErrorCode::not_found);
  const backup::SnapshotItem gone = story.await({"x"}, backup::AwaitState::deleted).front();
  CHECK(gone.outcome == backup::Outcome::done);
  const backup::SnapshotItem stays = story.await({"d1"}, backup::AwaitState::deleted).front();
  REQUIRE(stays.error.has_value());
  CHECK(stays.error->code() == ErrorCode::timeout);
}

TEST_CASE("waiting for several: one list and one watch per kind, an item for each in the order of the names") {
  Story story;
  story.take("db-0", "d1");
  story.take("web-0", "w1");
  story.cluster.forget_requests();
  const std::vector<backup::SnapshotItem> items = story.await({"w1", "w2", "d1", "x"}, backup::AwaitState::ready);
  REQUIRE(items.size() == 4);
  CHECK(items[0].outcome == backup::Outcome::done);
  CHECK(items[0].vm == "web-0");
  CHECK(items[0].disks.size() == 1);
  REQUIRE(items[1].error.has_value());
  CHECK(items[1].error->message() == "VirtualMachineSnapshot prod/w2 not found");
  CHECK(items[1].error->hint() == "did you mean \"w1\"?");
  CHECK(items[2].disks.size() == 2);
  CHECK(items[2].complete);
  REQUIRE(items[3].error.has_value());
  CHECK(items[3].error->hint() == "list them with: kubectl vmbackup list -n prod");
  const std::vector<test::RequestRecord> requests = story.cluster.requests();
  // The API version, three kinds, and the names that the suggestions come from.
  CHECK(std::count_if(requests.begin(), requests.end(), [](const test::RequestRecord& each) { return !each.watch; }) == 5);
  CHECK(std::count_if(requests.begin(), requests.end(), [](const test::RequestRecord& each) { return each.watch; }) == 3);
}

TEST_CASE("a delete takes the content along, names everything first, and hits nothing else") {
  Story story;
  story.take("db-0", "d1");
  const base::Result<backup::DeletePlan> plan = backup::plan_delete(story.cluster, {"prod", "d1"}, story.in(1min), {});
  REQUIRE(plan.ok());
  CHECK(plan->item.deletes.size() == 4);  // snapshot, content, two VolumeSnapshots
  CHECK(plan->item.stays.empty());
  const backup::DeleteItem item = backup::delete_snapshot(story.cluster, story.clock, story.silent, *plan, true, story.in(1min), {});
  CHECK(item.outcome == backup::Outcome::done);
  CHECK(story.cluster.list_all(kubevirt::vm_snapshots("v1beta1")).empty());
  CHECK(story.cluster.list_all(kubevirt::vm_snapshot_contents("v1beta1")).empty());
  // Asked for again, it is what was wanted.
  CHECK(backup::delete_snapshot(story.cluster, story.clock, story.silent, *plan, true, story.in(1min), {}).outcome ==
        backup::Outcome::done);
  // And another of the same name is not what was planned.
  story.take("db-0", "d1");
  const backup::DeleteItem other = backup::delete_snapshot(story.cluster, story.clock, story.silent, *plan, true, story.in(1min), {});
  REQUIRE(other.error.has_value());
  CHECK(other.error->code() == ErrorCode::precondition);
  CHECK(story.cluster.list_all(kubevirt::vm_snapshots("v1beta1")).size() == 1);
}

TEST_CASE("a delete with Retain waits for the object only and names what stays") {
  Story story;
  story.take("db-0", "d1", "Retain");
  const base::Result<backup::DeletePlan> plan = backup::plan_delete(story.cluster, {"prod", "d1"}, story.in(1min), {});
  REQUIRE(plan.ok());
  CHECK(plan->retains);
  CHECK(plan->item.deletes.size() == 1);
  CHECK(plan->item.stays.size() == 3);
  const backup::DeleteItem item = backup::delete_snapshot(story.cluster, story.clock, story.silent, *plan, true, story.in(1min), {});
  CHECK(item.outcome == backup::Outcome::done);
  CHECK(story.cluster.list_all(kubevirt::vm_snapshot_contents("v1beta1")).size() == 1);
}

}  // namespace
