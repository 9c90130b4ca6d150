#include "backup/lock.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::Event;
using base::ErrorCode;

class Recorder final : public backup::Observer {
 public:
  void on(const Event& event) override { events.push_back(event); }
  bool told(Event::Kind kind) const {
    return std::any_of(events.begin(), events.end(), [&](const Event& event) { return event.kind == kind; });
  }
  std::vector<Event> events;
};

// A namespace in which another run holds, or held, the lock of db-0.
struct Story {
  Story() : cluster(clock) {
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0"})) cluster.apply(object);
  }
  kube::NewLease theirs(base::Duration length) const {
    kube::NewLease lease;
    lease.name = name;
    lease.holder = "20261125-020000-aaaa@node-7";
    lease.duration = length;
    lease.now = clock.wall_now();
    lease.labels = {{"app.kubernetes.io/managed-by", "kubectl-vmbackup"}, {"kubectl-vmbackup/run", "20261125-020000-aaaa"}};
    return lease;
  }
  void hold(base::Duration length) { REQUIRE(kube::create_lease(cluster, theirs(length), {}, {}).ok()); }
  // As a holder that lives: every `pause`, while the code under test waits.
  void renew_every(base::Duration pause) {
    clock.after(pause, [this, pause] {
      const base::Result<kube::Lease> seen = kube::get_lease(cluster, name, {}, {});
      if (!seen.ok()) return;
      REQUIRE(kube::write_lease(cluster, *seen, theirs(30s), {}, {}).ok());
      renew_every(pause);
    });
  }
  base::Result<void> acquire(backup::LockOptions options = {}) {
    options.run = "20261125-030000-bbbb";
    options.host = "here";
    backup::Locks locks(cluster, clock, recorder, options);
    return locks.acquire({{"prod", "db-0"}, "uid"}, base::Deadline::after(clock, 5min), {});
  }
  std::string holder() { return kube::get_lease(cluster, name, {}, {})->holder; }

  const kube::Name name{"prod", "vmbackup-db-0"};
  test::FakeClock clock;
  test::FakeCluster cluster;
  Recorder recorder;
};

TEST_CASE("a lock that nobody holds is ours at once, and says who we are") {
  Story story;
  REQUIRE(story.acquire().ok());
  CHECK(story.holder() == "20261125-030000-bbbb@here");
  const base::Result<kube::Lease> lease = kube::get_lease(story.cluster, story.name, {}, {});
  CHECK(lease->duration == 30s);
  CHECK(lease->owner_name == "db-0");
  CHECK(backup::run_of(*lease) == "20261125-030000-bbbb");
  CHECK_FALSE(backup::handed_over(*lease));
}

TEST_CASE("a run that lives keeps its lock: busy as soon as it was seen to renew it") {
  Story story;
  story.hold(30s);
  story.renew_every(10s);
  const base::TimePoint begin = story.clock.now();
  const base::Result<void> taken = story.acquire();
  REQUIRE_FALSE(taken.ok());
  CHECK(taken.error().code() == ErrorCode::conflict);
  CHECK(taken.error().message().find("VM prod/db-0 is held by run 20261125-020000-aaaa of this tool on node-7") == 0);
  CHECK(story.clock.now() - begin >= 10s);
  CHECK(story.clock.now() - begin < 13s);
  CHECK(story.holder() == "20261125-020000-aaaa@node-7");
}

TEST_CASE("a run that has died is waited out for the length of its lock, on our steady clock, and no longer") {
  Story story;
  story.hold(30s);
  // Its own clock says that it is an hour old; that is not believed.
  story.clock.set_wall_now(story.clock.wall_now() + 1h);
  const base::TimePoint begin = story.clock.now();
  REQUIRE(story.acquire().ok());
  CHECK(story.clock.now() - begin >= 30s);
  CHECK(story.holder() == "20261125-030000-bbbb@here");
  CHECK(story.recorder.told(Event::Kind::lock_wait));
  CHECK(story.recorder.told(Event::Kind::locked));
}

TEST_CASE("a length beyond ten minutes counts as ten minutes") {
  Story story;
  story.hold(24h);
  backup::LockOptions options;
  options.run = "20261125-030000-bbbb";
  backup::Locks locks(story.cluster, story.clock, story.recorder, options);
  CHECK(locks.acquire({{"prod", "db-0"}, "uid"}, base::Deadline::after(story.clock, 11min), {}).ok());
}

TEST_CASE("a guest that was frozen on purpose is not waited for, unless asked") {
  Story story;
  kube::NewLease lease = story.theirs(60s);
  lease.annotations = {{"kubectl-vmbackup/handed-over", "2026-11-25T02:00:00Z"}};
  REQUIRE(kube::create_lease(story.cluster, lease, {}, {}).ok());
  const base::TimePoint begin = story.clock.now();
  const base::Result<void> taken = story.acquire();
  REQUIRE_FALSE(taken.ok());
  CHECK(taken.error().hint() == "let it go with: kubectl vmbackup thaw db-0 -n prod");
  CHECK(story.clock.now() - begin < 2s);
  backup::LockOptions patient;
  patient.wait = 2min;
  CHECK(story.acquire(patient).ok());
}

TEST_CASE("the lock can be broken, or left out") {
  Story story;
  story.hold(30s);
  story.renew_every(10s);
  backup::LockOptions none;
  none.use = false;
  CHECK(story.acquire(none).ok());
  CHECK(story.holder() == "20261125-020000-aaaa@node-7");
  backup::LockOptions breaking;
  breaking.break_lock = true;
  CHECK(story.acquire(breaking).ok());
  CHECK(story.holder() == "20261125-030000-bbbb@here");
}

TEST_CASE("a deadline or a stop ends the waiting") {
  Story story;
  story.hold(30s);
  backup::LockOptions options;
  options.run = "20261125-030000-bbbb";
  backup::Locks locks(story.cluster, story.clock, story.recorder, options);
  CHECK(locks.acquire({{"prod", "db-0"}, "uid"}, base::Deadline::after(story.clock, 5s), {}).error().code() == ErrorCode::timeout);
  std::stop_source stop;
  story.clock.after(3s, [&] { stop.request_stop(); });
  CHECK(locks.acquire({{"prod", "db-0"}, "uid"}, base::Deadline::after(story.clock, 1min), stop.get_token()).error().code() ==
        ErrorCode::cancelled);
}

TEST_CASE("names of leases fit into 63 characters and differ where the VMs do") {
  CHECK(backup::lease_name("db-0") == "vmbackup-db-0");
  const std::string left = backup::lease_name(std::string(62, 'a') + "b");
  const std::string right = backup::lease_name(std::string(62, 'a') + "c");
  CHECK(left.size() == 63);
  CHECK(left != right);
}

}  // namespace
