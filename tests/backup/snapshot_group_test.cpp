#include "backup/snapshot_group.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "backup/evidence_builder.hpp"
#include "backup/snapshot.hpp"
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
  void on(const backup::Event& event) override { kinds.push_back(event.kind); }
  std::vector<backup::Event::Kind> kinds;
};

using Knobs = std::vector<std::pair<std::string, std::string>>;

// Three VMs, two of them running, taken as a group.
struct Story {
  explicit Story(Knobs knobs = {}, const std::string& storage_class = "rig") : cluster(clock, {}) {
    add({.name = "db-0", .volumes = {"root", "data"}});
    add({.name = "db-1", .volumes = {"root", "data"}, .storage_class = storage_class, .knobs = std::move(knobs)});
    add({.name = "old", .running = false});
    cluster.settle();
    cluster.forget_requests();
    request.selection.ns = "prod";
    request.selection.all = true;
    request.run = "20260102-030405-0000";
    request.group = true;
  }

  void add(test::VmManifest vm) {
    vm.ns = "prod";
    for (const json::Value& object : test::manifest_of(vm)) cluster.apply(object);
  }
  base::Result<backup::SnapshotSet> plan() {
    return backup::plan_snapshots(cluster, clock, request, base::Deadline::after(clock, 2min), {});
  }
  backup::TakenSnapshots take(base::Duration timeout = 30min) {
    const base::Result<backup::SnapshotSet> set = plan();
    REQUIRE_MESSAGE(set.ok(), (set.ok() ? "" : set.error().message()));
    return backup::take_snapshots({cluster, clock, observer, debts}, *set, how, base::Deadline::after(clock, timeout), {});
  }
  std::size_t snapshots() const { return cluster.list_all(kubevirt::vm_snapshots("v1beta1")).size(); }
  void check_nothing_left() {
    clock.advance(30s);
    CHECK(snapshots() == 0);
    CHECK_FALSE(cluster.guest_frozen("prod", "db-0"));
    CHECK_FALSE(cluster.guest_frozen("prod", "db-1"));
    CHECK(debts.owed().empty());
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
  backup::SnapshotRequest request;
  // Without locks: the thread that renews them would make the clock jump.
  backup::TakeOptions how{.lock = {.use = false, .wait = {}, .run = {}, .host = {}}, .threads = false, .events = false};
  Recorder observer;
  backup::Debts debts;
};

TEST_CASE("a group: all stand still before the first create, each until its last cut") {
  Story story;
  const backup::TakenSnapshots taken = story.take();
  REQUIRE(taken.group.has_value());
  CHECK(taken.group->together);
  CHECK(taken.group->reasons.empty());
  REQUIRE(taken.group->held.has_value());
  for (const backup::SnapshotItem& item : taken.items) {
    CAPTURE(item.vm);
    CHECK(item.outcome == backup::Outcome::done);
    REQUIRE(item.judged);
    REQUIRE(item.judged->evidence.group.has_value());
    CHECK(item.judged->evidence.group->vms == 3);
    CHECK(item.judged->evidence.group->held <= *item.judged->evidence.create_sent);
  }
  std::size_t created = 0;
  std::size_t frozen = 0;
  for (const test::RequestRecord& request : story.cluster.requests()) {
    if (request.method == "PUT" && request.target.find("/freeze") != std::string::npos) {
      CHECK(created == 0);
      ++frozen;
    }
    if (request.method == "POST" && request.target.find("/virtualmachinesnapshots") != std::string::npos) ++created;
  }
  CHECK(frozen == 2);
  CHECK(created == 3);
}

TEST_CASE("a group: one that is refused refuses all, too many are wrong usage") {
  Story story(Knobs{{"agent", "none"}});
  const base::Result<backup::SnapshotSet> set = story.plan();
  REQUIRE(set.ok());
  for (const backup::SnapshotPlan& plan : set->plans) {
    REQUIRE(plan.refusal.has_value());
    CHECK(plan.refusal->code() == ErrorCode::precondition);
    CHECK(plan.refusal->message().find("db-1") != std::string::npos);
  }
  const backup::TakenSnapshots taken = story.take();
  CHECK_FALSE(taken.group->together);
  CHECK(story.snapshots() == 0);
  story.request.max_held = 2;
  const base::Result<backup::SnapshotSet> many = story.plan();
  REQUIRE_FALSE(many.ok());
  CHECK(many.error().code() == ErrorCode::usage);
}

TEST_CASE("a group: a guest that cannot be held lets all go, and nothing is created") {
  Story story(Knobs{{"freeze", "fail"}});
  const backup::TakenSnapshots taken = story.take();
  CHECK_FALSE(taken.group->held.has_value());
  for (const backup::SnapshotItem& item : taken.items) {
    CHECK(item.outcome == backup::Outcome::failed);
    CHECK(item.error->message().find("db-1") != std::string::npos);
  }
  story.check_nothing_left();
}

TEST_CASE("a group: a create that fails deletes the others before their guests are let go") {
  for (const Fault::Action action : {Fault::Action::status, Fault::Action::lose_answer}) {
    CAPTURE(static_cast<int>(action));
    Story story;
    Fault fault{.action = action, .method = "POST", .path = "/virtualmachinesnapshots", .skip = 1, .times = -1};
    fault.status = 403;
    story.cluster.add_fault(fault);
    const backup::TakenSnapshots taken = story.take();
    for (const backup::SnapshotItem& item : taken.items) {
      CAPTURE(item.vm);
      CHECK(item.outcome == backup::Outcome::failed);
      CHECK(item.uid.empty());
    }
    const std::vector<test::RequestRecord> requests = story.cluster.requests();
    const auto first = [&requests](const std::string& method, const std::string& path) {
      return std::find_if(requests.begin(), requests.end(), [&](const test::RequestRecord& request) {
        return request.method == method && request.target.find(path) != std::string::npos;
      });
    };
    CHECK(first("DELETE", "/virtualmachinesnapshots/db-0") < first("PUT", "/db-0/unfreeze"));
    story.check_nothing_left();
  }
}

TEST_CASE("a group: what fails before all are cut fails for all, also for those that are cut") {
  Story story({}, "rig-failsnap");
  story.request.failure_deadline = 30s;
  const backup::TakenSnapshots taken = story.take();
  CHECK_FALSE(taken.group->together);
  for (const backup::SnapshotItem& item : taken.items) {
    CAPTURE(item.vm);
    CHECK(item.outcome == backup::Outcome::failed);
    if (item.vm != "db-1") CHECK(item.uid.empty());
  }
  CHECK(story.debts.owed().empty());
  CHECK_FALSE(story.cluster.guest_frozen("prod", "db-0"));
}

TEST_CASE("a group: the deadline before all are cut leaves nothing") {
  Story story({}, "rig-slow");
  const backup::TakenSnapshots taken = story.take(5s);
  for (const backup::SnapshotItem& item : taken.items) {
    CAPTURE(item.vm);
    REQUIRE(item.error.has_value());
    CHECK(item.error->code() == ErrorCode::timeout);
  }
  story.check_nothing_left();
}

TEST_CASE("a group: with a pause all stand still until the last of them is cut") {
  Story story({}, "rig-slow");
  story.request.hold = backup::HoldWish::pause;
  const backup::TakenSnapshots taken = story.take();
  for (const backup::SnapshotItem& item : taken.items) CHECK(item.outcome == backup::Outcome::done);
  CHECK(story.debts.owed().empty());
  const std::vector<backup::Event::Kind>& kinds = story.observer.kinds;
  CHECK(std::count(kinds.begin(), kinds.end(), backup::Event::Kind::cut) == 5);
  const auto first = std::find(kinds.begin(), kinds.end(), backup::Event::Kind::unpausing);
  REQUIRE(first != kinds.end());
  CHECK(std::find(first, kinds.end(), backup::Event::Kind::cut) == kinds.end());
  for (const char* vm : {"db-0", "db-1"}) CHECK_FALSE(story.cluster.guest_paused("prod", vm));
}

TEST_CASE("stood still: shown for all disks, never for one disk alone") {
  const auto judged = [](backup::Evidence evidence) {
    backup::Verdict verdict = backup::consistency_of(evidence);
    return backup::Judged{std::move(verdict), backup::EvidenceSource::recorded, std::move(evidence)};
  };
  CHECK(backup::stood_still(judged(test::held_by_freeze())));
  CHECK(backup::stood_still(judged(test::held_by_freeze_pause())));
  CHECK(backup::stood_still(judged(test::held_by_pause())));
  CHECK(backup::stood_still(judged(test::stopped())));
  CHECK_FALSE(backup::stood_still(judged(test::held_by_nobody())));
  backup::Evidence one = test::held_by_nobody();
  one.disks->pop_back();
  REQUIRE(judged(one).verdict.level == backup::Level::crash);
  CHECK_FALSE(backup::stood_still(judged(one)));
  backup::Evidence inferred = one;
  inferred.inferred = true;
  CHECK_FALSE(backup::stood_still(judged(inferred)));
}

}  // namespace
