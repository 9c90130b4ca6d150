#include "backup/snapshot_watch.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "backup/snapshot.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::Milestone;
using backup::SnapshotEnd;
using base::ErrorCode;

class Recorder final : public backup::Observer {
 public:
  void on(const backup::Event& event) override { events.push_back(event); }
  std::vector<backup::Event> of(backup::Event::Kind kind) const {
    std::vector<backup::Event> found;
    std::copy_if(events.begin(), events.end(), std::back_inserter(found), [&](const backup::Event& event) { return event.kind == kind; });
    return found;
  }
  std::vector<backup::Event> events;
};

struct Story {
  Story() : cluster(clock) {}
  void vm(const std::string& ns, const std::string& name, const std::string& storage_class = "rig") {
    for (const json::Value& object : test::manifest_of({.ns = ns, .name = name, .storage_class = storage_class})) cluster.apply(object);
    cluster.settle();
  }
  // Creates a snapshot "NAME" of the VM and returns its UID.
  std::string create(const std::string& ns, const std::string& vm, const std::string& name) {
    const base::Result<json::Value> made = cluster.create(
        kubevirt::vm_snapshots("v1beta1"), ns,
        kubevirt::encode({.ns = ns, .name = name, .vm = vm, .failure_deadline = {}, .deletion_policy = {}, .labels = {}, .annotations = {}},
                         "v1beta1"),
        {.deadline = in(1min)}, {});
    REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().message()));
    return made->path({"metadata", "uid"}).as_string();
  }
  void allow(const std::string& ns) {
    cluster.apply_manifest("apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: jane, namespace: " + ns +
                           "}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: "
                           "User, name: jane}]\n");
  }
  base::Deadline in(base::Duration duration) { return base::Deadline::after(clock, duration); }
  std::unique_ptr<backup::SnapshotWatch> watch(const std::string& ns, kube::Client* client = nullptr) {
    const backup::WatchScope scope{.api_version = "v1beta1", .ns = ns, .label_selector = {}};
    return std::make_unique<backup::SnapshotWatch>(client != nullptr ? *client : cluster, clock, recorder, scope, Milestone::ready);
  }
  static backup::SnapshotTarget target(const std::string& ns, const std::string& name, const std::string& uid = {}) {
    return {.name = {ns, name}, .uid = uid, .vm = {}, .planned = {}};
  }
  int count(bool watches) const {
    const std::vector<test::RequestRecord> requests = cluster.requests();
    return static_cast<int>(
        std::count_if(requests.begin(), requests.end(), [&](const test::RequestRecord& each) { return each.watch == watches; }));
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
  Recorder recorder;
  std::stop_source stop;
};

TEST_CASE("many in one namespace: each ends by itself, with its parts, over one watch per kind") {
  Story story;
  std::map<int, std::string> names;
  const auto watch = story.watch("prod");
  for (int i = 0; i < 30; ++i) story.vm("prod", "vm-" + std::to_string(i));
  story.cluster.forget_requests();
  for (int i = 0; i < 30; ++i) {
    const std::string name = "s-" + std::to_string(i);
    names[watch->add(Story::target("prod", name, story.create("prod", "vm-" + std::to_string(i), name)))] = name;
  }
  CHECK(watch->waiting() == 30);
  const int before = story.count(false);
  while (watch->waiting() > 0) {
    const SnapshotEnd end = watch->next(story.in(5min), {});
    CHECK(end.reached.ok());
    REQUIRE(end.parts.has_value());
    CHECK(end.parts->snapshot.name == names.at(end.target));
    REQUIRE(end.parts->content.has_value());
    CHECK(end.parts->volume_snapshots.size() == 1);
    names.erase(end.target);
  }
  CHECK(names.empty());
  CHECK(story.count(false) - before == 3);
  CHECK(story.count(true) == 3);
  CHECK(story.recorder.of(backup::Event::Kind::ready).size() == 30);
  CHECK(story.recorder.of(backup::Event::Kind::ended).size() == 30);
}

TEST_CASE("one that fails, one that is not there and one that is deleted do not hold up the others") {
  Story story;
  story.vm("prod", "good");
  story.vm("prod", "bad", "rig-failsnap");
  story.vm("prod", "slow", "rig-notready");
  const auto watch = story.watch("prod");
  const int good = watch->add(Story::target("prod", "good", story.create("prod", "good", "good")));
  const int bad = watch->add(Story::target("prod", "bad", story.create("prod", "bad", "bad")));
  const int missing = watch->add(Story::target("prod", "missing"));
  const int slow = watch->add(Story::target("prod", "slow", story.create("prod", "slow", "slow")));
  std::map<int, SnapshotEnd> ends;
  while (watch->waiting() > 1) {
    SnapshotEnd end = watch->next(story.in(30min), {});
    ends.emplace(end.target, std::move(end));
  }
  CHECK(ends.at(good).reached.ok());
  REQUIRE_FALSE(ends.at(bad).reached.ok());
  CHECK(ends.at(bad).reached.error().code() == ErrorCode::internal);
  CHECK(ends.at(bad).reached.error().message().find("rig: snapshot refused by the array") != std::string::npos);
  CHECK(ends.at(missing).reached.error().code() == ErrorCode::not_found);
  CHECK_FALSE(ends.at(missing).parts.has_value());
  story.cluster.erase_now(kubevirt::vm_snapshots("v1beta1"), {"prod", "slow"});
  const SnapshotEnd last = watch->next(story.in(1min), {});
  CHECK(last.target == slow);
  CHECK(last.reached.error().code() == ErrorCode::not_found);
  for (const backup::Event& event : story.recorder.of(backup::Event::Kind::ended)) CHECK(event.text.empty() == (event.object == "good"));
}

TEST_CASE("at the deadline and at a stop each that is left ends, one by one") {
  Story story;
  const auto watch = story.watch("prod");
  for (const char* name : {"a", "b"}) {
    story.vm("prod", name, "rig-notready");
    watch->add(Story::target("prod", name, story.create("prod", name, name)));
  }
  SUBCASE("deadline") {
    const base::Deadline deadline = story.in(10s);
    CHECK(watch->next(deadline, {}).reached.error().code() == ErrorCode::timeout);
    CHECK(watch->waiting() == 1);
    const SnapshotEnd last = watch->next(deadline, {});
    CHECK(last.reached.error().message().starts_with("the deadline passed: VirtualMachineSnapshot prod/b"));
    CHECK(last.parts.has_value());
  }
  SUBCASE("stop") {
    story.clock.after(3s, [&] { story.stop.request_stop(); });
    CHECK(watch->next(story.in(1min), story.stop.get_token()).reached.error().code() == ErrorCode::cancelled);
    CHECK(watch->next(story.in(1min), story.stop.get_token()).reached.error().code() == ErrorCode::cancelled);
  }
  CHECK(watch->waiting() == 0);
}

TEST_CASE("targets come while others are waited for: made just now, there before, told already, or never there") {
  Story story;
  for (const char* name : {"early", "old", "late"}) story.vm("prod", name);
  story.vm("prod", "slow", "rig-notready");
  story.create("prod", "old", "old");
  const auto watch = story.watch("prod");
  watch->add(Story::target("prod", "slow", story.create("prod", "slow", "slow")));
  watch->add(Story::target("prod", "early", story.create("prod", "early", "early")));
  CHECK(watch->next(story.in(1min), {}).reached.ok());
  story.cluster.forget_requests();

  const int made = watch->add(Story::target("prod", "late", story.create("prod", "late", "late")));
  const int old = watch->add(Story::target("prod", "old"));
  const int missing = watch->add(Story::target("prod", "missing"));
  std::map<int, SnapshotEnd> ends;
  while (watch->waiting() > 1) {
    SnapshotEnd end = watch->next(story.in(1min), {});
    ends.emplace(end.target, std::move(end));
  }
  for (const int number : {made, old}) {
    CHECK(ends.at(number).reached.ok());
    REQUIRE(ends.at(number).parts.has_value());
    CHECK(ends.at(number).parts->content.has_value());
    CHECK(ends.at(number).parts->volume_snapshots.size() == 1);
  }
  CHECK(ends.at(missing).reached.error().code() == ErrorCode::not_found);
  CHECK(story.count(true) == 0);  // the watches that run serve all

  // Told while something else was waited for, and added only then.
  const std::string uid = story.create("prod", "early", "again");
  story.clock.advance(1s);
  const int other = watch->add(Story::target("prod", "other", story.create("prod", "old", "other")));
  CHECK(watch->next(story.in(1min), {}).target == other);
  story.cluster.forget_requests();
  const int again = watch->add(Story::target("prod", "again", uid));
  const SnapshotEnd end = watch->next(story.in(1min), {});
  CHECK(end.target == again);
  CHECK(end.reached.ok());
  REQUIRE(end.parts.has_value());
  CHECK(end.parts->volume_snapshots.size() == 1);
  CHECK(story.count(false) == 3);  // it, its content, its VolumeSnapshot
}

TEST_CASE("what is told of a snapshot before its create is answered is kept, and not read again; unless changes may have been missed") {
  Story story;
  for (const char* name : {"early", "other", "third"}) story.vm("prod", name);
  const auto watch = story.watch("prod");
  const auto next = [&](int target) {
    const SnapshotEnd end = watch->next(story.in(1min), {});
    CHECK(end.target == target);
    CHECK(end.reached.ok());
    REQUIRE(end.parts.has_value());
    CHECK(end.parts->content.has_value());
    CHECK(end.parts->volume_snapshots.size() == 1);
  };
  next(watch->add(Story::target("prod", "first", story.create("prod", "other", "first"))));

  watch->expect({"prod", "quick"});
  const std::string quick = story.create("prod", "early", "quick");
  story.clock.advance(1s);
  // Whatever else is followed meanwhile.
  next(watch->add(Story::target("prod", "second", story.create("prod", "other", "second"))));
  story.cluster.forget_requests();
  story.recorder.events.clear();
  next(watch->add(Story::target("prod", "quick", quick)));
  CHECK(story.count(false) == 0);
  CHECK(story.recorder.of(backup::Event::Kind::cut).size() == 1);
  CHECK(story.recorder.of(backup::Event::Kind::ready).size() == 1);

  watch->expect({"prod", "missed"});
  const std::string missed = story.create("prod", "early", "missed");
  story.clock.advance(1s);
  next(watch->add(Story::target("prod", "fourth", story.create("prod", "other", "fourth"))));
  story.cluster.compact();
  story.cluster.end_watches(true);
  next(watch->add(Story::target("prod", "fifth", story.create("prod", "third", "fifth"))));
  story.cluster.forget_requests();
  next(watch->add(Story::target("prod", "missed", missed)));
  CHECK(story.count(false) == 3);  // it, its content, its VolumeSnapshot
}

TEST_CASE("one that was expected and is gone, or another one, before it is added is missed") {
  Story story;
  for (const char* name : {"a", "b", "other"}) story.vm("prod", name);
  const auto watch = story.watch("prod");
  watch->add(Story::target("prod", "first", story.create("prod", "other", "first")));
  CHECK(watch->next(story.in(1min), {}).reached.ok());
  for (const char* name : {"gone", "replaced"}) watch->expect({"prod", name});
  const std::string gone = story.create("prod", "a", "gone");
  const std::string replaced = story.create("prod", "b", "replaced");
  story.clock.advance(1s);
  for (const char* name : {"gone", "replaced"}) story.cluster.erase_now(kubevirt::vm_snapshots("v1beta1"), {"prod", name});
  story.create("prod", "b", "replaced");
  story.clock.advance(10s);
  watch->add(Story::target("prod", "second", story.create("prod", "other", "second")));
  CHECK(watch->next(story.in(1min), {}).reached.ok());
  for (const auto& [name, uid] : std::map<std::string, std::string>{{"gone", gone}, {"replaced", replaced}}) {
    watch->add(Story::target("prod", name, uid));
    CHECK(watch->next(story.in(1min), {}).reached.error().code() == ErrorCode::not_found);
  }
}

TEST_CASE("several namespaces: one watch per kind for all; without that right, one in each; parts that may not be read are said once") {
  Story story;
  for (const char* ns : {"prod", "test"}) story.vm(ns, "db");
  story.create("prod", "db", "s");
  story.create("test", "db", "s");
  story.cluster.forget_requests();
  std::unique_ptr<kube::Client> jane;
  int watches = 3;
  SUBCASE("as an administrator") {}
  SUBCASE("in two namespaces") {
    story.allow("prod");
    story.allow("test");
    jane = story.cluster.as_user("jane");
    watches = 6;
  }
  const auto watch = story.watch("", jane.get());
  watch->add(Story::target("prod", "s"));
  watch->add(Story::target("test", "s"));
  std::vector<std::string> namespaces;
  while (watch->waiting() > 0) {
    const SnapshotEnd end = watch->next(story.in(1min), {});
    REQUIRE_MESSAGE(end.reached.ok(), (end.reached.ok() ? "" : end.reached.error().message()));
    namespaces.push_back(end.parts->snapshot.ns);
    CHECK(end.parts->content.has_value());
    CHECK(end.parts->volume_snapshots.size() == 1);
    CHECK(end.unreadable.empty());
  }
  std::sort(namespaces.begin(), namespaces.end());
  CHECK(namespaces == std::vector<std::string>{"prod", "test"});
  const std::vector<test::RequestRecord> requests = story.cluster.requests();
  CHECK(std::count_if(requests.begin(), requests.end(), [](const test::RequestRecord& each) { return each.watch && each.status == 200; }) ==
        watches);
}

TEST_CASE("a namespace that may not be read ends its targets; parts that may not be read are told once") {
  Story story;
  story.vm("prod", "db");
  story.vm("prod", "web");
  story.create("prod", "db", "s1");
  story.create("prod", "web", "s2");
  SUBCASE("snapshots") {
    const std::unique_ptr<kube::Client> jane = story.cluster.as_user("jane");
    const auto watch = story.watch("prod", jane.get());
    watch->add(Story::target("prod", "s1"));
    watch->add(Story::target("prod", "s2"));
    CHECK(watch->next(story.in(1min), {}).reached.error().code() == ErrorCode::forbidden);
    CHECK(watch->next(story.in(1min), {}).reached.error().message().starts_with("waiting for VirtualMachineSnapshot prod/s2: "));
  }
  SUBCASE("VolumeSnapshots") {
    story.cluster.add_fault({.action = test::Fault::Action::status, .method = "GET", .path = "volumesnapshots", .status = 403});
    const auto watch = story.watch("prod");
    watch->add(Story::target("prod", "s1"));
    watch->add(Story::target("prod", "s2"));
    for (int i = 0; i < 2; ++i) {
      const SnapshotEnd end = watch->next(story.in(1min), {});
      CHECK(end.reached.ok());
      REQUIRE(end.unreadable.size() == 1);
      CHECK(end.unreadable[0].starts_with("VolumeSnapshots may not be read: "));
    }
    CHECK(story.recorder.of(backup::Event::Kind::unreadable).size() == 1);
  }
}

TEST_CASE("410 while many are followed: told to each, and those that went meanwhile are missed") {
  Story story;
  const auto watch = story.watch("prod");
  for (const char* name : {"a", "b"}) {
    story.vm("prod", name, "rig-notready");
    watch->add(Story::target("prod", name, story.create("prod", name, name)));
  }
  story.vm("prod", "good");
  watch->add(Story::target("prod", "good", story.create("prod", "good", "good")));
  CHECK(watch->next(story.in(1min), {}).reached.ok());
  story.cluster.compact();
  story.cluster.end_watches(true);
  story.cluster.erase_now(kubevirt::vm_snapshots("v1beta1"), {"prod", "a"});
  CHECK(watch->next(story.in(1min), {}).reached.error().code() == ErrorCode::not_found);
  CHECK(story.recorder.of(backup::Event::Kind::watch_gap).size() >= 2);
  CHECK(watch->waiting() == 1);
}

}  // namespace
