#include "backup/freeze_guard.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>

#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::Event;
using base::ErrorCode;
using kubevirt::FreezeAnswer;
using test::Fault;

class Recorder final : public backup::Observer {
 public:
  void on(const Event& event) override { events.push_back(event); }
  int count(Event::Kind kind) const {
    return static_cast<int>(std::count_if(events.begin(), events.end(), [&](const Event& event) { return event.kind == kind; }));
  }
  std::vector<Event> events;
};

// One running VM, and a guard for its guest.
struct Story {
  using Knobs = std::vector<std::pair<std::string, std::string>>;
  explicit Story(Knobs knobs = {}, std::chrono::seconds safety = 60s) : cluster(clock) {
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0", .knobs = std::move(knobs)})) cluster.apply(object);
    cluster.settle();
    uid = cluster.find(kubevirt::virtual_machine_instances(), vm)->path({"metadata", "uid"}).as_string();
    guard.emplace(cluster, clock, recorder, debts, backup::GuardTarget{vm, uid}, safety);
  }
  bool frozen() const { return cluster.guest_frozen("prod", "db-0"); }
  int happened(const std::string& what) const {
    const std::vector<test::Happening> all = cluster.happenings();
    return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const test::Happening& one) { return one.event == what; }));
  }
  // The next unfreezes are answered so.
  void fail_thaws(int status, int times) {
    Fault fault;
    fault.action = Fault::Action::status;
    fault.method = "PUT";
    fault.path = "/unfreeze";
    fault.status = status;
    fault.times = times;
    cluster.add_fault(fault);
  }

  const kube::Name vm{"prod", "db-0"};
  test::FakeClock clock;
  test::FakeCluster cluster;
  Recorder recorder;
  backup::Debts debts;
  std::string uid;
  std::optional<backup::FreezeGuard> guard;
};

TEST_CASE("freeze and release: the debt exists in between, and the answer of the agent ends it") {
  Story story;
  CHECK(story.debts.owed().empty());
  REQUIRE(story.guard->freeze({}).ok());
  CHECK(story.frozen());
  CHECK(story.guard->owes());
  CHECK(story.debts.owed() == std::vector<kube::Name>{story.vm});
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.frozen());
  CHECK_FALSE(story.guard->owes());
  CHECK(story.debts.owed().empty());
  const backup::FreezeRecord& record = story.guard->record();
  CHECK(record.answer == FreezeAnswer::frozen);
  CHECK(record.thaw_tries == 1);
  CHECK(record.thawed_by == "this run");
  CHECK(*record.sent <= *record.confirmed);
  CHECK(*record.thaw_sent <= *record.thawed);
  REQUIRE(story.guard->release().ok());
  CHECK(story.happened("thaw-request") == 1);
}

TEST_CASE("the destructor lets go of what is still owed, also while an exception passes") {
  Story story;
  REQUIRE(story.guard->freeze({}).ok());
  SUBCASE("scope ends") { story.guard.reset(); }
  SUBCASE("exception") {
    const auto throwing = [&] {
      backup::FreezeGuard second(story.cluster, story.clock, story.recorder, story.debts, {story.vm, story.uid}, 60s);
      REQUIRE(second.freeze({}).ok());
      throw std::runtime_error("in the window");
    };
    CHECK_THROWS_AS(throwing(), std::runtime_error);
    story.guard->hand_over();
  }
  CHECK_FALSE(story.frozen());
  CHECK(story.debts.owed().empty());
}

TEST_CASE("what is handed over stays frozen until its safety timer") {
  Story story(Story::Knobs{}, 10s);
  REQUIRE(story.guard->freeze({}).ok());
  story.guard->hand_over();
  CHECK(story.debts.owed().empty());
  story.guard.reset();
  CHECK(story.frozen());
  story.clock.advance(11s);
  CHECK_FALSE(story.frozen());
}

TEST_CASE("a stop that was requested before sends nothing; one that comes later does not keep the answer away") {
  Story story;
  std::stop_source stop;
  stop.request_stop();
  const base::Result<void> refused = story.guard->freeze(stop.get_token());
  CHECK(refused.error().code() == ErrorCode::cancelled);
  CHECK(story.happened("freeze-request") == 0);
  CHECK_FALSE(story.guard->owes());
}

TEST_CASE("a freeze that no guest was asked for leaves no debt") {
  Story story;
  SUBCASE("no such instance") { story.cluster.erase_now(kubevirt::virtual_machine_instances(), story.vm); }
  SUBCASE("the agent has gone") {
    Story silent(Story::Knobs{{"agent", "none"}});
    CHECK_FALSE(silent.guard->freeze({}).ok());
    CHECK(silent.guard->record().answer == FreezeAnswer::refused);
    CHECK_FALSE(silent.guard->owes());
    return;
  }
  CHECK_FALSE(story.guard->freeze({}).ok());
  CHECK(story.guard->record().answer == FreezeAnswer::refused);
  CHECK_FALSE(story.guard->owes());
  CHECK(story.debts.owed().empty());
}

TEST_CASE("a freeze that the agent gave up is over, but one thaw has to show it") {
  Story story(Story::Knobs{{"freeze", "fail"}});
  CHECK_FALSE(story.guard->freeze({}).ok());
  CHECK(story.guard->record().answer == FreezeAnswer::failed);
  CHECK(story.guard->owes());
  REQUIRE(story.guard->release().ok());
  CHECK(story.guard->record().thaw_tries == 1);
}

TEST_CASE("the late freeze: refused at 10 s, frozen at 14 s, let go at once, and believed once it was seen or cannot come any more") {
  Story story(Story::Knobs{{"freeze", "slow:14s"}}, 300s);
  const base::Result<void> frozen = story.guard->freeze({});
  REQUIRE_FALSE(frozen.ok());
  CHECK(story.guard->record().answer == FreezeAnswer::unclear);
  CHECK(story.guard->owes());
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.frozen());
  CHECK(story.happened("frozen") == 1);
  const backup::FreezeRecord& record = story.guard->record();
  CHECK((record.seen_frozen || *record.thaw_sent - *record.sent >= kubevirt::k_launcher_limit));
  story.clock.advance(2min);
  CHECK_FALSE(story.frozen());
}

TEST_CASE("a freeze whose answer was lost, and which never comes, is awaited for the launcher's limit") {
  Story story;
  Fault lost;
  lost.action = Fault::Action::reset;
  lost.method = "PUT";
  lost.path = "/freeze";
  story.cluster.add_fault(lost);
  CHECK_FALSE(story.guard->freeze({}).ok());
  CHECK(story.guard->record().answer == FreezeAnswer::unclear);
  const base::TimePoint sent = *story.guard->record().sent;
  REQUIRE(story.guard->release().ok());
  CHECK(*story.guard->record().thaw_sent - sent >= kubevirt::k_launcher_limit);
  CHECK(story.guard->record().thaw_tries > 20);
}

TEST_CASE("a freeze that is not answered for 15 s is no deadline of the caller's, and a debt") {
  Story story;
  Fault silence;
  silence.action = Fault::Action::hang;
  silence.method = "PUT";
  silence.path = "/freeze";
  silence.times = 1;
  story.cluster.add_fault(silence);
  const base::TimePoint begin = story.clock.now();
  const base::Result<void> frozen = story.guard->freeze({});
  REQUIRE_FALSE(frozen.ok());
  CHECK(frozen.error().code() == ErrorCode::unavailable);
  CHECK(frozen.error().message().find("prod/db-0") != std::string::npos);
  CHECK(story.clock.now() - begin == 15s);
  CHECK(story.guard->record().answer == FreezeAnswer::unclear);
  CHECK(story.guard->owes());
  CHECK(story.guard->release().ok());
}

TEST_CASE("a thaw that is refused twice is sent again until it is good") {
  Story story(Story::Knobs{{"thaw", "fail:2"}});
  REQUIRE(story.guard->freeze({}).ok());
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.frozen());
  CHECK(story.guard->record().thaw_tries == 3);
  CHECK(story.recorder.count(Event::Kind::thaw_again) == 1);
}

TEST_CASE("who lets go a guest that others have frozen learns from its status that it is") {
  Story story(Story::Knobs{{"thaw", "fail"}});
  // Its status says so up to 5 s later.
  REQUIRE(kubevirt::freeze(story.cluster, story.vm, 60s, {.deadline = base::Deadline::never()}, {}).ok());
  backup::FreezeRecord record;
  CHECK_FALSE(backup::let_go(story.cluster, story.clock, story.recorder, {story.vm, story.uid}, record).ok());
  CHECK(record.seen_frozen);
  CHECK(record.thaw_refused);
  CHECK(story.frozen());
}

TEST_CASE("a thaw that is refused for ever ends with a debt that is told, after the safety timeout and 75 s") {
  Story story(Story::Knobs{{"thaw", "fail"}}, 30s);
  REQUIRE(story.guard->freeze({}).ok());
  const base::TimePoint sent = *story.guard->record().sent;
  const base::Result<void> gone = story.guard->release();
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().message().find("the guest of VM prod/db-0 may still be frozen") == 0);
  CHECK(gone.error().hint() == "let it go with: kubectl vmbackup thaw db-0 -n prod");
  CHECK(story.guard->record().not_thawed.has_value());
  CHECK(story.clock.now() - sent >= 105s);
  CHECK(story.clock.now() - sent < 125s);
  CHECK(story.recorder.count(Event::Kind::owed) == 1);
  CHECK(story.frozen());
}

TEST_CASE("a thaw goes on while the API server does not know us or is away") {
  Story story;
  REQUIRE(story.guard->freeze({}).ok());
  for (const int status : {401, 503, 429, 500}) story.fail_thaws(status, 2);
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.frozen());
}

TEST_CASE("the end of the instance is the end of the debt") {
  Story story(Story::Knobs{{"thaw", "fail"}});
  REQUIRE(story.guard->freeze({}).ok());
  SUBCASE("gone") { story.cluster.erase_now(kubevirt::virtual_machine_instances(), story.vm); }
  SUBCASE("replaced under its name") {
    story.cluster.erase_now(kubevirt::virtual_machine_instances(), story.vm);
    story.cluster.settle();
  }
  REQUIRE(story.guard->release().ok());
  CHECK((story.guard->record().thawed_by == "the end of the instance" || story.guard->record().thawed_by == "this run"));
}

TEST_CASE("Windows that let go by itself is no debt, and is remembered") {
  Story story(Story::Knobs{{"os", "windows"}});
  REQUIRE(story.guard->freeze({}).ok());
  story.clock.advance(11s);
  REQUIRE(story.guard->release().ok());
  CHECK(story.guard->record().vss_limit);
  CHECK_FALSE(story.frozen());
}

}  // namespace
