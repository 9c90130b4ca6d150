#include "backup/listing.hpp"

#include <doctest/doctest.h>

#include "backup/select.hpp"
#include "backup/snapshot.hpp"
#include "backup/take_one.hpp"
#include "base/text.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::ListChange;
using backup::SortBy;
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
  void take(const std::string& vm, const std::string& name) {
    backup::SnapshotRequest wish{.selection = {.ns = "prod", .names = {vm}}, .run = "r", .name = name};
    const base::Result<backup::SnapshotPlan> plan = test::plan_one(cluster, clock, wish, in(1min));
    REQUIRE(plan.ok());
    REQUIRE(test::take_one(cluster, clock, silent, *plan, {.threads = false, .events = false}, in(5min)).outcome == backup::Outcome::done);
    clock.advance(1s);
  }
  void take_by_others(const std::string& name) {
    cluster.apply(kubevirt::encode(
        {.ns = "prod", .name = name, .vm = "web-0", .failure_deadline = {}, .deletion_policy = {}, .labels = {}, .annotations = {}},
        "v1beta1"));
  }
  base::Result<std::vector<backup::SnapshotItem>> list(const std::string& vm = "") {
    return backup::list_snapshots(cluster, {.ns = "prod", .vm = vm}, in(1min), {});
  }
  std::string names_of(const backup::ListRequest& request) {
    const base::Result<std::vector<backup::SnapshotItem>> items = backup::list_snapshots(cluster, request, in(1min), {});
    REQUIRE(items.ok());
    return names(*items);
  }
  static std::string names(const std::vector<backup::SnapshotItem>& items) {
    std::string out;
    for (const backup::SnapshotItem& item : items) out += item.name + ' ';
    return out;
  }
  // The changes of the next while, one per kind and name: "added w1, changed w1".
  std::string changes(backup::ListWatch& watch) {
    std::vector<std::string> told;
    const base::Deadline until = in(20s);
    for (;;) {
      const base::Result<ListChange> change = watch.next(until, {});
      if (!change.ok()) {
        CHECK(change.error().code() == ErrorCode::timeout);
        CHECK(change.error().causes().empty());
        break;
      }
      const char* kind = change->kind == ListChange::Kind::added ? "added " : change->kind == ListChange::Kind::gone ? "gone " : "changed ";
      if (told.empty() || told.back() != kind + change->item.name) told.push_back(kind + change->item.name);
      last = change->item;
    }
    return base::join(told, ", ");
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
  Silent silent;
  backup::SnapshotItem last;
};

TEST_CASE("a namespace that does not exist is no empty one") {
  Story story;
  const base::Result<std::vector<backup::SnapshotItem>> listed =
      backup::list_snapshots(story.cluster, {.ns = "prdo", .vm = {}}, story.in(1min), {});
  REQUIRE_FALSE(listed.ok());
  CHECK(listed.error().code() == base::ErrorCode::not_found);
  CHECK(listed.error().message() == "namespace prdo does not exist");
  CHECK(listed.error().hint() == "did you mean -n prod?");
  const base::Result<backup::Selected> all = backup::select_vms(story.cluster, {.ns = "prdo", .all = true}, {}, {});
  REQUIRE_FALSE(all.ok());
  CHECK(all.error().message() == "namespace prdo does not exist");
  CHECK(backup::select_vms(story.cluster, {.ns = "prdo", .label_selector = "a=b", .ignore_not_found = true}, {}, {})->vms.empty());
  // Who may not look at namespaces is told what he may see: nothing.
  story.cluster.add_fault({.method = "GET", .path = "/api/v1/namespaces/prdo", .times = 1, .status = 403, .text = {}, .delay = {}});
  CHECK(backup::list_snapshots(story.cluster, {.ns = "prdo", .vm = {}}, story.in(1min), {})->empty());
}

TEST_CASE("a list: the oldest first, of all VMs or of one") {
  Story story;
  CHECK(story.list()->empty());
  story.take("web-0", "w1");
  story.take("db-0", "d1");
  const base::Result<std::vector<backup::SnapshotItem>> all = story.list();
  REQUIRE(all.ok());
  REQUIRE(all->size() == 2);
  CHECK((*all)[0].name == "w1");
  CHECK((*all)[1].name == "d1");
  CHECK((*all)[1].complete);
  CHECK((*all)[1].run == "r");
  CHECK(story.list("db-0")->size() == 1);
}

TEST_CASE("a VM without snapshots is an empty list, a VM that never was is an error") {
  Story story;
  CHECK(story.list("db-0")->empty());
  const base::Result<std::vector<backup::SnapshotItem>> nobody = story.list("db-1");
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.error().code() == ErrorCode::not_found);
  CHECK(nobody.error().hint() == "did you mean \"db-0\"?");
}

TEST_CASE("the order of a list") {
  Story story;
  story.take("db-0", "b");
  story.take("web-0", "c");
  story.take("db-0", "a");
  CHECK(story.names_of({.ns = "prod", .vm = {}}) == "b c a ");
  CHECK(story.names_of({.ns = "prod", .vm = {}, .sort_by = SortBy::vm}) == "b a c ");
  CHECK(story.names_of({.ns = "prod", .vm = {}, .sort_by = SortBy::name}) == "a b c ");
  // Without its evidence a snapshot of two disks is weaker than those that were held.
  story.cluster.change(kubevirt::vm_snapshots("v1beta1"), {"prod", "b"},
                       [](json::Value& object) { object["metadata"].erase("annotations"); });
  CHECK(story.names_of({.ns = "prod", .vm = {}, .sort_by = SortBy::level}) == "c a b ");
  CHECK(story.names_of({.ns = "prod", .vm = {}, .sizes = true, .sort_by = SortBy::size}) == "b a c ");
}

TEST_CASE("snapshots of other tools are listed unless they are left out") {
  Story story;
  story.take("db-0", "ours");
  story.take_by_others("other");
  CHECK(story.names_of({.ns = "prod", .vm = {}}) == "ours other ");
  CHECK(story.names_of({.ns = "prod", .vm = {}, .all_tools = false}) == "ours ");
}

TEST_CASE("sizes cost one list more, only when they are asked for, and are not known where it is forbidden") {
  Story story;
  story.take("db-0", "s1");
  const auto read = [&story](bool sizes) {
    story.cluster.forget_requests();
    const base::Result<std::vector<backup::SnapshotItem>> items =
        backup::list_snapshots(story.cluster, {.ns = "prod", .vm = {}, .sizes = sizes}, story.in(1min), {});
    REQUIRE(items.ok());
    return items->front();
  };
  const backup::SnapshotItem without = read(false);
  const std::size_t requests = story.cluster.requests().size();
  CHECK_FALSE(without.restore_size.has_value());
  CHECK(without.reasons.empty());
  const backup::SnapshotItem with = read(true);
  CHECK(story.cluster.requests().size() == requests + 1);
  REQUIRE(with.restore_size.has_value());
  CHECK(with.disks.at(0).restore_size.value_or(0) + with.disks.at(1).restore_size.value_or(0) == *with.restore_size);
  CHECK(with.judged->verdict.level == without.judged->verdict.level);
  story.cluster.add_fault({.method = "GET", .path = "volumesnapshots", .times = 1, .status = 403, .text = {}, .delay = {}});
  const backup::SnapshotItem forbidden = read(true);
  CHECK_FALSE(forbidden.restore_size.has_value());
  REQUIRE(forbidden.reasons.size() == 1);
  CHECK(forbidden.reasons.front().starts_with(backup::k_no_sizes));
  story.cluster.add_fault({.method = "GET", .path = "volumesnapshots", .times = 1, .status = 400, .text = {}, .delay = {}});
  CHECK_FALSE(backup::list_snapshots(story.cluster, {.ns = "prod", .vm = {}, .sizes = true}, story.in(1min), {}).ok());
}

TEST_CASE("a list that is followed: added, changed and gone, of what was asked for") {
  Story story;
  story.take("db-0", "d1");
  backup::ListWatch watch(story.cluster, story.clock, {.ns = "prod", .vm = "web-0", .sizes = true});
  const base::Result<std::vector<backup::SnapshotItem>> items = watch.begin(story.in(1min), {});
  REQUIRE(items.ok());
  CHECK(items->empty());
  story.take("web-0", "w1");
  CHECK(story.changes(watch) == "added w1, changed w1");
  CHECK(story.last.ready_to_use);
  CHECK(story.last.complete);
  CHECK(story.last.restore_size.has_value());
  CHECK(Story::names(watch.items()) == "w1 ");
  story.cluster.erase(kubevirt::vm_snapshots("v1beta1"), {"prod", "d1"});
  CHECK(story.changes(watch).empty());
  story.cluster.erase(kubevirt::vm_snapshots("v1beta1"), {"prod", "w1"});
  const std::string end = story.changes(watch);
  CHECK(end.ends_with("gone w1"));
  CHECK(story.last.phase == "Succeeded");
  CHECK(watch.items().empty());
}

TEST_CASE("a followed snapshot that becomes another tool's leaves the list, and comes back") {
  Story story;
  story.take("web-0", "w1");
  backup::ListWatch watch(story.cluster, story.clock, {.ns = "prod", .vm = {}, .all_tools = false});
  REQUIRE(watch.begin(story.in(1min), {}).ok());
  const auto label = [&story](const char* value) {
    const json::Value patch = json::Value::object(
        {{"metadata", json::Value::object({{"labels", json::Value::object({{"app.kubernetes.io/managed-by", value}})}})}});
    REQUIRE(story.cluster.patch(kubevirt::vm_snapshots("v1beta1"), {"prod", "w1"}, kube::PatchType::merge, patch, {}, {}).ok());
  };
  label("other");
  CHECK(story.changes(watch) == "gone w1");
  label("kubectl-vmbackup");
  CHECK(story.changes(watch) == "added w1");
}

TEST_CASE("a followed list where contents may not be read, and one that may not be listed") {
  Story story;
  story.take("web-0", "w1");
  story.cluster.add_fault({.method = "GET", .path = "virtualmachinesnapshotcontents", .times = 1, .status = 403, .text = {}, .delay = {}});
  backup::ListWatch watch(story.cluster, story.clock, {.ns = "prod", .vm = {}});
  const base::Result<std::vector<backup::SnapshotItem>> items = watch.begin(story.in(1min), {});
  REQUIRE(items.ok());
  REQUIRE(items->size() == 1);
  CHECK_FALSE(items->front().complete);
  story.cluster.add_fault({.method = "GET", .path = "virtualmachinesnapshots?", .times = 1, .status = 403, .text = {}, .delay = {}});
  backup::ListWatch refused(story.cluster, story.clock, {.ns = "prod", .vm = {}});
  CHECK(refused.begin(story.in(1min), {}).error().code() == ErrorCode::forbidden);
  backup::ListWatch nobody(story.cluster, story.clock, {.ns = "prod", .vm = "db-1"});
  CHECK(nobody.begin(story.in(1min), {}).error().hint() == "did you mean \"db-0\"?");
}

}  // namespace
