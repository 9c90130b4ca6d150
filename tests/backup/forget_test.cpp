#include "backup/forget.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "backup/take_one.hpp"
#include "base/text.hpp"
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

const kube::Resource k_snapshots = kubevirt::vm_snapshots("v1beta1");

struct Story {
  Story() : cluster(clock) {
    for (const char* name : {"db-0", "web-0"}) {
      for (const json::Value& object : test::manifest_of({.ns = "prod", .name = name})) cluster.apply(object);
    }
    cluster.settle();
    request.ns = "prod";
    request.rules.last = 1;
  }
  base::Deadline in(base::Duration duration) { return base::Deadline::after(clock, duration); }
  void take(const std::string& vm, const std::string& name) {
    backup::SnapshotRequest wish{.selection = {.ns = "prod", .names = {vm}}, .run = "r", .name = name, .deletion_policy = {}};
    const base::Result<backup::SnapshotPlan> plan = test::plan_one(cluster, clock, wish, in(1min));
    REQUIRE(plan.ok());
    REQUIRE(test::take_one(cluster, clock, silent, *plan, {.threads = false, .events = false}, in(5min)).outcome == backup::Outcome::done);
    clock.advance(1h);
  }
  base::Result<backup::ForgetPlan> plan(kube::Client* client = nullptr) {
    return backup::plan_forget(client != nullptr ? *client : cluster, clock, request, in(1min), {});
  }
  std::string forgets(kube::Client* client = nullptr) {
    const base::Result<backup::ForgetPlan> planned = plan(client);
    REQUIRE(planned.ok());
    std::vector<std::string> names;
    for (const backup::ForgetItem& item : planned->report.items) {
      if (item.fate == backup::Fate::forget) names.push_back(item.item.name);
    }
    CHECK(names.size() == planned->plans.size());
    return base::join(names, " ");
  }
  std::string there() {
    std::vector<std::string> names;
    for (const json::Value& object : cluster.list_all(k_snapshots)) names.push_back(object.path({"metadata", "name"}).as_string());
    return base::join(names, " ");
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
  Silent silent;
  backup::ForgetRequest request;
};

TEST_CASE("plan, carry out, and nothing is left to do") {
  Story story;
  for (const char* name : {"d1", "d2", "d3"}) story.take("db-0", name);
  story.take("web-0", "w1");
  const base::Result<backup::ForgetPlan> plan = story.plan();
  REQUIRE(plan.ok());
  CHECK(plan->warnings.empty());
  CHECK(story.forgets() == "d2 d1");
  CHECK(story.there() == "d1 d2 d3 w1");
  const backup::ForgetReport report = backup::carry_out(story.cluster, story.clock, story.silent, *plan, true, story.in(5min), {});
  CHECK(std::all_of(report.items.begin(), report.items.end(), [](const backup::ForgetItem& item) { return !item.item.error; }));
  CHECK(report.items[0].item.outcome == backup::Outcome::skipped);
  CHECK(report.items[1].item.outcome == backup::Outcome::done);
  CHECK(story.there() == "d3 w1");
  CHECK(story.forgets().empty());
}

TEST_CASE("one VM, or those with labels; a name that is nobody's is an error") {
  Story story;
  for (const char* name : {"d1", "d2"}) story.take("db-0", name);
  for (const char* name : {"w1", "w2"}) story.take("web-0", name);
  story.request.vms = {"db-0"};
  CHECK(story.forgets() == "d1");
  story.request.vms = {"db-9"};
  const base::Result<backup::ForgetPlan> nobody = story.plan();
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.error().code() == ErrorCode::not_found);
  CHECK(nobody.error().hint() == "did you mean \"db-0\"?");
  story.request.vms.clear();
  story.cluster.change(kubevirt::virtual_machines(), {"prod", "web-0"},
                       [](json::Value& vm) { vm["metadata"]["labels"].set("tier", "web"); });
  story.request.selector = "tier=web";
  CHECK(story.forgets() == "w1");
  story.request.selector = "tier=none";
  CHECK(story.plan().error().code() == ErrorCode::not_found);
}

TEST_CASE("a VM made anew under the old name is another one; without its VM nothing goes") {
  Story story;
  for (const char* name : {"d1", "d2"}) story.take("db-0", name);
  story.cluster.erase_now(kubevirt::virtual_machines(), {"prod", "db-0"});
  CHECK(story.forgets().empty());
  CHECK(story.plan()->report.items[0].reasons.back() == "its VM is gone");
  story.request.rules.vm_gone = true;
  CHECK(story.forgets() == "d1");
  for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0"})) story.cluster.apply(object);
  story.request.rules.vm_gone = false;
  CHECK(story.forgets().empty());
}

json::Value user_of(const char* api, const char* kind, json::Value spec, json::Value status) {
  return json::Value::object({{"apiVersion", api},
                              {"kind", kind},
                              {"metadata", json::Value::object({{"namespace", "prod"}, {"name", "u1"}})},
                              {"spec", std::move(spec)},
                              {"status", std::move(status)}});
}

TEST_CASE("what is in use stays until that is finished: restore, export, clone") {
  const json::Value source = json::Value::object(
      {{"source", json::Value::object({{"apiGroup", "snapshot.kubevirt.io"}, {"kind", "VirtualMachineSnapshot"}, {"name", "d1"}})}});
  struct Row {
    const char* api;
    const char* kind;
    kube::Resource resource;
    std::string reason;
    std::pair<const char*, json::Value> finished;
  };
  const std::vector<Row> rows = {
      {"export.kubevirt.io/v1",
       "VirtualMachineExport",
       kubevirt::vm_exports("v1"),
       "in use: VirtualMachineExport prod/u1, not terminated",
       {"phase", "Terminated"}},
      {"clone.kubevirt.io/v1beta1",
       "VirtualMachineClone",
       kubevirt::vm_clones("v1beta1"),
       "in use: VirtualMachineClone prod/u1, not finished",
       {"phase", "Succeeded"}},
      {"snapshot.kubevirt.io/v1beta1",
       "VirtualMachineRestore",
       kubevirt::vm_restores("v1beta1"),
       "in use: VirtualMachineRestore prod/u1, not complete",
       {"complete", true}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.reason);
    Story story;
    for (const char* name : {"d1", "d2"}) story.take("db-0", name);
    json::Value spec = source;
    if (std::string(row.kind) == "VirtualMachineRestore") {
      spec = json::Value::object(
          {{"virtualMachineSnapshotName", "d1"},
           {"target", json::Value::object({{"apiGroup", "kubevirt.io"}, {"kind", "VirtualMachine"}, {"name", "db-0"}})}});
    }
    story.cluster.apply(user_of(row.api, row.kind, spec, json::Value::object()));
    CHECK(story.forgets().empty());
    const base::Result<backup::ForgetPlan> plan = story.plan();
    CHECK(plan->report.items[1].reasons == std::vector<std::string>{row.reason});
    const base::Result<backup::DeletePlan> one = backup::plan_delete(story.cluster, {"prod", "d1"}, story.in(1min), {});
    REQUIRE(one.ok());
    CHECK(one->in_use);
    story.cluster.change(row.resource, {"prod", "u1"},
                         [&row](json::Value& object) { object["status"].set(row.finished.first, row.finished.second); });
    CHECK(story.forgets() == "d1");
    CHECK_FALSE(backup::plan_delete(story.cluster, {"prod", "d1"}, story.in(1min), {})->in_use);
  }
}

TEST_CASE("where possible readers may not be listed nothing goes, and that is said") {
  Story story;
  for (const char* name : {"d1", "d2"}) story.take("db-0", name);
  story.cluster.add_fault({.method = "GET", .path = "/virtualmachineexports", .times = -1, .status = 403, .text = {}, .delay = {}});
  const base::Result<backup::ForgetPlan> plan = story.plan();
  REQUIRE(plan.ok());
  CHECK(plan->plans.empty());
  REQUIRE(plan->warnings.size() == 1);
  CHECK(plan->warnings.front().starts_with("VirtualMachineExports may not be read: "));
  CHECK(plan->report.items[1].reasons.front().starts_with("perhaps in use: VirtualMachineExports may not be read"));
}

TEST_CASE("only ours; failed ones by age") {
  Story story;
  for (const char* name : {"d1", "d2"}) story.take("db-0", name);
  story.cluster.change(k_snapshots, {"prod", "d1"}, [](json::Value& object) { object["metadata"].erase("labels"); });
  CHECK(story.forgets().empty());
  story.request.rules.all_tools = true;
  CHECK(story.forgets() == "d1");
  story.cluster.change(k_snapshots, {"prod", "d1"}, [](json::Value& object) { object["status"].set("phase", "Failed"); });
  CHECK(story.forgets().empty());
  story.request.rules.failed_older_than = 90min;
  CHECK(story.forgets() == "d1");
  story.request.rules.failed_older_than = 3h;
  CHECK(story.forgets().empty());
}

TEST_CASE("one replaced since the plan is not touched, the others go") {
  Story story;
  for (const char* name : {"d1", "d2", "d3"}) story.take("db-0", name);
  const base::Result<backup::ForgetPlan> plan = story.plan();
  REQUIRE(plan.ok());
  story.cluster.erase_now(k_snapshots, {"prod", "d2"});
  story.take("db-0", "d2");
  const backup::ForgetReport report = backup::carry_out(story.cluster, story.clock, story.silent, *plan, true, story.in(5min), {});
  REQUIRE(report.items[1].item.error.has_value());
  CHECK(report.items[1].item.error->code() == ErrorCode::precondition);
  CHECK(report.items[2].item.outcome == backup::Outcome::done);
  CHECK(story.there() == "d2 d3");
}

TEST_CASE("past the deadline or stopped, what is left is left and said") {
  Story story;
  for (const char* name : {"d1", "d2"}) story.take("db-0", name);
  const base::Result<backup::ForgetPlan> plan = story.plan();
  const backup::ForgetReport late = backup::carry_out(story.cluster, story.clock, story.silent, *plan, true, story.in(0s), {});
  CHECK(late.items[1].item.error->code() == ErrorCode::timeout);
  std::stop_source stop;
  stop.request_stop();
  const backup::ForgetReport stopped =
      backup::carry_out(story.cluster, story.clock, story.silent, *plan, true, story.in(1min), stop.get_token());
  CHECK(stopped.items[1].item.error->code() == ErrorCode::cancelled);
  CHECK(story.there() == "d1 d2");
}

// The cluster as its server's clock would have it.
struct OtherClock final : base::Clock {
  OtherClock(const test::FakeClock& server, base::Duration offset) : inner(server), ahead(offset) {}
  base::TimePoint now() const override { return inner.now(); }
  base::WallTime wall_now() const override { return inner.wall_now() + ahead; }
  base::WaitEnd wait(base::Wakeup&, base::TimePoint, const std::stop_token&) override { return base::WaitEnd::expired; }
  const test::FakeClock& inner;
  base::Duration ahead;
};

TEST_CASE("now is the server's clock; more than five minutes from ours is said") {
  Story story;
  for (const char* name : {"d1", "d2"}) story.take("db-0", name);
  for (const auto& [ahead, words] : std::vector<std::pair<base::Duration, std::string>>{
           {5min, ""},
           {1h, "the server's clock is 1h behind this machine's; the server's counts"},
           {-10min, "the server's clock is 10m ahead of this machine's; the server's counts"}}) {
    OtherClock ours(story.clock, ahead);
    story.clock.set_wall_now(std::chrono::ceil<std::chrono::seconds>(story.clock.wall_now()));
    const base::Result<backup::ForgetPlan> plan = backup::plan_forget(story.cluster, ours, story.request, story.in(1min), {});
    REQUIRE(plan.ok());
    CHECK(plan->report.now == std::chrono::floor<std::chrono::seconds>(story.clock.wall_now()));
    CHECK((plan->warnings.empty() ? "" : plan->warnings.front()) == words);
  }
}

}  // namespace
