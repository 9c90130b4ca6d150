#include "backup/group_hold.hpp"

#include <doctest/doctest.h>

#include "kubevirt/guest_control.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using base::ErrorCode;

class Deaf final : public backup::Observer {
 public:
  void on(const backup::Event&) override {}
};

// Running VMs of a plan that was made a moment ago. Only what is refused can be looked at here: the threads of a hold push the fake clock
// on.
struct Story {
  explicit Story(const std::vector<std::string>& names) : cluster(clock) {
    for (const std::string& name : names) {
      for (const json::Value& object : test::manifest_of({.ns = "prod", .name = name})) cluster.apply(object);
    }
    cluster.settle();
    for (const std::string& name : names) {
      const kube::Name vm{"prod", name};
      const std::string uid = cluster.find(kubevirt::virtual_machine_instances(), vm)->path({"metadata", "uid"}).as_string();
      targets.push_back({vm, {}, uid});
    }
  }
  backup::Ground ground() { return {cluster, clock, observer, debts}; }
  backup::HoldOptions options() const {
    backup::HoldOptions options{.safety_timeout = 5s};
    options.lock.use = false;
    return options;
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
  Deaf observer;
  backup::Debts debts;
  std::vector<backup::HoldTarget> targets;
};

}  // namespace

TEST_CASE("a VM that was paused since the plan is not frozen, nor is any other of its group, and nothing is owed") {
  Story story({"db-0", "web-0"});
  REQUIRE(kubevirt::pause(story.cluster, {"prod", "db-0"}, {.deadline = base::Deadline::never()}, {}).ok());
  story.cluster.settle();
  backup::GroupHold hold(story.ground(), story.options(), story.targets);
  hold.take(base::Deadline::never(), {});
  CHECK_FALSE(hold.ok());
  REQUIRE(hold.error(0));
  CHECK(hold.error(0)->code() == ErrorCode::precondition);
  CHECK(hold.error(0)->message() == "VM prod/db-0 was not frozen: somebody has just paused it, so that its agent cannot answer");
  CHECK_FALSE(hold.record(0).sent);
  CHECK_FALSE(hold.record(1).sent);
  CHECK_FALSE(story.cluster.guest_frozen("prod", "web-0"));
  CHECK(story.debts.owed().empty());
  hold.release(story.clock.now());
}

TEST_CASE("a VM that began to migrate since the plan is not frozen: it is busy") {
  Story story({"db-0"});
  const json::Value status = json::Value::object({{"migrationState", json::Value::object({{"startTimestamp", "2026-01-02T03:04:05Z"}})}});
  const kube::Call call{.deadline = base::Deadline::never()};
  REQUIRE(story.cluster
              .patch(kubevirt::virtual_machine_instances(), {"prod", "db-0"}, kube::PatchType::merge,
                     json::Value::object({{"status", status}}), call, {})
              .ok());
  backup::GroupHold hold(story.ground(), story.options(), story.targets);
  hold.take(base::Deadline::never(), {});
  REQUIRE(hold.error(0));
  CHECK(hold.error(0)->code() == ErrorCode::conflict);
  CHECK(hold.error(0)->message() == "VM prod/db-0 was not frozen: it is migrating");
  CHECK_FALSE(hold.record(0).sent);
  hold.release(story.clock.now());
}
