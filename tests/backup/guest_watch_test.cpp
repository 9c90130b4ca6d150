#include "backup/guest_watch.hpp"

#include <doctest/doctest.h>

#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;

const kube::Name k_vm{"prod", "db-0"};

struct Story {
  Story() : cluster(clock) {
    for (const json::Value& object : test::manifest_of({.ns = k_vm.ns, .name = k_vm.name})) cluster.apply(object);
    cluster.settle();
  }
  base::Deadline in(base::Duration duration) { return base::Deadline::after(clock, duration); }
  std::string version() const {
    return cluster.find(kubevirt::virtual_machine_instances(), k_vm)->path({"metadata", "resourceVersion"}).as_string();
  }
  void freeze() {
    cluster.change(kubevirt::virtual_machine_instances(), k_vm, [](json::Value& vmi) { vmi["status"].set("fsFreezeStatus", "frozen"); });
  }

  test::FakeClock clock;
  test::FakeCluster cluster;
};

TEST_CASE("a read may be ahead of the watch: the history is whole once the watch has told what was read") {
  Story story;
  backup::GuestWatch watch(story.cluster, story.clock, {k_vm}, false);
  REQUIRE(watch.begin(story.in(1min), {}));

  SUBCASE("as it was listed") { CHECK(watch.follow_to(k_vm, story.version(), story.in(5s))); }
  SUBCASE("changed since") {
    story.freeze();
    REQUIRE(watch.follow_to(k_vm, story.version(), story.in(5s)));
    CHECK(watch.history(k_vm).frozen.back().on);
  }
  SUBCASE("the watch is ahead of the read") {
    const std::string read = story.version();
    story.freeze();
    CHECK(watch.follow_to(k_vm, read, story.in(5s)));
  }
  SUBCASE("what does not come by the deadline is not there") {
    const base::TimePoint begin = story.clock.now();
    CHECK_FALSE(watch.follow_to(k_vm, story.version() + "0", story.in(5s)));
    CHECK(story.clock.now() - begin >= 5s);
    CHECK(story.clock.now() - begin < 6s);
  }
  SUBCASE("versions that cannot be compared, and VMs that nobody watches") {
    CHECK_FALSE(watch.follow_to(k_vm, "", story.in(5s)));
    CHECK_FALSE(watch.follow_to(k_vm, "v2", story.in(5s)));
    CHECK_FALSE(watch.follow_to({"prod", "db-1"}, story.version(), story.in(5s)));
  }
}

TEST_CASE("a watch that has ended for good has followed to nothing later") {
  Story story;
  backup::GuestWatch watch(story.cluster, story.clock, {k_vm}, false);
  REQUIRE(watch.begin(story.in(1min), {}));
  story.cluster.add_fault({.action = test::Fault::Action::status, .method = "WATCH", .times = -1, .status = 403, .text = {}, .delay = {}});
  story.cluster.end_watches();
  story.clock.advance(1s);
  story.freeze();
  CHECK_FALSE(watch.follow_to(k_vm, story.version(), story.in(5s)));
}

}  // namespace
