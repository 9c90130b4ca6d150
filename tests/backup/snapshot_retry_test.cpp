#include "backup/snapshot_retry.hpp"

#include <doctest/doctest.h>

#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using base::Error;
using base::ErrorCode;
using test::Fault;

class Silent final : public backup::Observer {
 public:
  void on(const backup::Event&) override {}
};

// Two VMs, whose snapshots are tried again.
struct Story {
  explicit Story(const std::string& freeze = {}) : cluster(clock, {}) {
    add({.name = "db-0", .volumes = {"root"}, .knobs = freeze.empty() ? Knobs{} : Knobs{{"freeze", freeze}}});
    add({.name = "web-0", .running = false});
    cluster.settle();
    request.selection.ns = "prod";
    request.selection.all = true;
    request.run = "20260102-030405-0000";
    request.hold = backup::HoldWish::freeze;
    how.note = [this](const std::string& text) { notes.push_back(text); };
  }
  using Knobs = std::vector<std::pair<std::string, std::string>>;

  void add(test::VmManifest vm) {
    vm.ns = "prod";
    for (const json::Value& object : test::manifest_of(vm)) cluster.apply(object);
  }
  backup::TakenSnapshots take(std::size_t retries, base::Duration timeout = 30min) {
    const base::Deadline deadline = base::Deadline::after(clock, timeout);
    const base::Result<backup::SnapshotSet> set = backup::plan_snapshots(cluster, clock, request, deadline, {});
    REQUIRE(set.ok());
    return backup::take_with_retries({cluster, clock, observer, debts}, request, *set, how, retries, deadline, stop.get_token());
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
  backup::SnapshotRequest request;
  // Without locks: the thread that renews them would make the clock jump.
  backup::TakeOptions how{.lock = {.use = false, .wait = {}, .run = {}, .host = {}}, .threads = false, .events = false};
  Silent observer;
  backup::Debts debts;
  std::vector<std::string> notes;
  std::stop_source stop;
};

TEST_CASE("what failed is tried again under a name of its own, what did not is left alone") {
  Story story("fail:2");
  const base::TimePoint begin = story.clock.now();
  const backup::TakenSnapshots taken = story.take(3);
  const backup::SnapshotItem& item = taken.items.at(0);
  REQUIRE(item.outcome == backup::Outcome::done);
  CHECK(item.name == "db-0-20260102-030405-0000-3");
  CHECK(item.tries == 3);
  REQUIRE(item.failed_tries.size() == 2);
  CHECK(item.failed_tries[0].starts_with("try 1: "));
  CHECK(item.failed_tries[1].starts_with("try 2: "));
  CHECK(story.notes.size() == 2);
  CHECK(story.clock.now() - begin >= 30s);
  CHECK(taken.items.at(1).tries == 1);
  CHECK(story.cluster.list_all(kubevirt::vm_snapshots("v1beta1")).size() == 2);
}

TEST_CASE("tries end with their number, with the deadline, and with a stop") {
  Story story("fail");
  CHECK(story.take(1).items.at(0).tries == 2);
  Story soon("fail");
  const backup::TakenSnapshots taken = soon.take(5, 25s);
  CHECK(taken.items.at(0).tries == 2);
  REQUIRE(taken.items.at(0).error.has_value());
  CHECK(taken.items.at(0).error->code() != ErrorCode::timeout);
  Story stopped("fail");
  stopped.clock.after(5s, [&stopped] { stopped.stop.request_stop(); });
  CHECK(stopped.take(5).items.at(0).tries == 1);
}

TEST_CASE("a group is tried again as a whole") {
  Story story("fail:1");
  story.request.group = true;
  const backup::TakenSnapshots taken = story.take(2);
  REQUIRE(taken.group.has_value());
  CHECK(taken.group->together);
  for (const backup::SnapshotItem& item : taken.items) {
    CAPTURE(item.vm);
    CHECK(item.outcome == backup::Outcome::done);
    CHECK(item.tries == 2);
    CHECK(item.name.ends_with("-2"));
  }
  CHECK(story.cluster.list_all(kubevirt::vm_snapshots("v1beta1")).size() == 2);
}

TEST_CASE("a VM that went away meanwhile keeps the failure that it had") {
  Story story("fail");
  story.clock.after(5s, [&story] { story.cluster.erase(kubevirt::virtual_machines(), {"prod", "db-0"}); });
  const backup::TakenSnapshots taken = story.take(1);
  CHECK(taken.items.at(0).tries == 1);
  CHECK(taken.items.at(0).error.has_value());
}

TEST_CASE("a snapshot that stands still and was kept is in the way of another try, one that was deleted is not") {
  for (const bool running : {false, true}) {
    CAPTURE(running);
    Story story;
    story.cluster.apply_manifest(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: refusing}\nprovisioner: csi.vmbackup.test\nparameters: "
        "{failSnapshots: always, failCode: InvalidArgument}\n");
    story.add({.name = "other", .storage_class = "refusing", .running = running});
    story.cluster.settle();
    story.request.selection = {};
    story.request.selection.ns = "prod";
    story.request.selection.names = {"other"};
    const backup::TakenSnapshots taken = story.take(1);
    const backup::SnapshotItem& item = taken.items.at(0);
    CHECK(item.tries == (running ? 2 : 1));
    REQUIRE(item.error.has_value());
    CHECK(item.error->message().find("InvalidArgument") != std::string::npos);
    CHECK(story.cluster.list_all(kubevirt::vm_snapshots("v1beta1")).size() == (running ? 0 : 1));
  }
}

TEST_CASE("what is worth another try") {
  const auto worth = [](ErrorCode code, bool refused = false, bool held = false) {
    backup::SnapshotPlan plan;
    backup::SnapshotItem item;
    item.error = Error(code, "why");
    if (refused) plan.refusal = item.error;
    if (held) {
      item.freeze.emplace();
      item.freeze->held = true;
    }
    return backup::worth_another_try(plan, item, {});
  };
  for (const ErrorCode code : {ErrorCode::internal, ErrorCode::unavailable, ErrorCode::conflict}) {
    CHECK(worth(code));
    CHECK(worth(code, true));
    CHECK_FALSE(worth(code, false, true));
  }
  CHECK(worth(ErrorCode::precondition));
  CHECK_FALSE(worth(ErrorCode::precondition, true));
  for (const ErrorCode code : {ErrorCode::forbidden, ErrorCode::not_found, ErrorCode::already_exists, ErrorCode::cancelled,
                               ErrorCode::timeout, ErrorCode::invalid, ErrorCode::usage, ErrorCode::unauthenticated}) {
    CHECK_FALSE(worth(code));
  }
  // One that was good, and one that was too weak and is gone.
  backup::SnapshotItem item;
  CHECK_FALSE(backup::worth_another_try({}, item, {}));
  item.judged = std::make_shared<const backup::Judged>();
  backup::TakeOptions options{.require = backup::Level::filesystem, .delete_weaker = true};
  CHECK(backup::worth_another_try({}, item, options));
  item.uid = "u1";
  CHECK_FALSE(backup::worth_another_try({}, item, options));
}

}  // namespace
