#include "backup/pause_guard.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "backup/held_mark.hpp"
#include "backup/thaw.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using namespace std::chrono_literals;
using backup::Debt;
using backup::Event;
using base::ErrorCode;
using kubevirt::PauseAnswer;
using test::Fault;

constexpr const char* k_run = "20261125-030000-ab12";

class Recorder final : public backup::Observer {
 public:
  void on(const Event& event) override { events.push_back(event); }
  int count(Event::Kind kind) const {
    return static_cast<int>(std::count_if(events.begin(), events.end(), [&](const Event& event) { return event.kind == kind; }));
  }
  std::vector<Event> events;
};

// One running VM, and a guard for its pause.
struct Story {
  using Knobs = std::vector<std::pair<std::string, std::string>>;
  explicit Story(Knobs knobs = {}) : cluster(clock) {
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0", .knobs = std::move(knobs)})) cluster.apply(object);
    cluster.settle();
    uid = cluster.find(kubevirt::virtual_machine_instances(), vm)->path({"metadata", "uid"}).as_string();
    guard.emplace(cluster, clock, recorder, debts, backup::GuardTarget{vm, uid}, k_run, 0s);
  }
  // From now on the guard has a watch to look at.
  void follow() {
    watch.emplace(cluster, clock, std::vector<kube::Name>{vm}, false);
    REQUIRE(watch->begin(deadline(), {}));
    guard.emplace(cluster, clock, recorder, debts, backup::GuardTarget{vm, uid}, k_run, 0s, &*watch);
  }
  int got() const {
    const std::vector<test::RequestRecord> all = cluster.requests();
    return static_cast<int>(std::count_if(all.begin(), all.end(), [](const test::RequestRecord& one) {
      return one.method == "GET" && !one.watch && one.target.find("/db-0") != std::string::npos;
    }));
  }
  base::Deadline deadline() const { return base::Deadline::after(clock, 5min); }
  base::Result<void> pause() { return guard->pause(deadline(), {}); }
  bool paused() const { return cluster.guest_paused("prod", "db-0"); }
  std::string mark() const {
    return cluster.find(kubevirt::virtual_machines(), vm)->path({"metadata", "annotations", backup::k_held_annotation}).as_string();
  }
  int happened(const std::string& what) const {
    const std::vector<test::Happening> all = cluster.happenings();
    return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const test::Happening& one) { return one.event == what; }));
  }
  int sent(const std::string& what) const {
    const std::vector<test::RequestRecord> all = cluster.requests();
    return static_cast<int>(std::count_if(
        all.begin(), all.end(), [&](const test::RequestRecord& one) { return one.method == "PUT" && one.target.ends_with("/" + what); }));
  }
  int fail(Fault::Action action, const char* path, int times, int status = 503, const char* method = "PUT") {
    Fault fault;
    fault.action = action;
    fault.method = method;
    fault.path = path;
    fault.status = status;
    fault.times = times;
    return cluster.add_fault(fault);
  }
  // KubeVirt refuses an unpause from now on for so long.
  void snapshot_for(base::Duration length) {
    cluster.change(kubevirt::virtual_machines(), vm, [](json::Value& object) { object["status"].set("snapshotInProgress", "s1"); });
    cluster.at(clock.now() + length, [this] {
      cluster.change(kubevirt::virtual_machines(), vm, [](json::Value& object) { object["status"].erase("snapshotInProgress"); });
    });
  }
  void set_condition(bool on) {
    cluster.change(kubevirt::virtual_machine_instances(), vm, [on](json::Value& vmi) {
      json::Value rest = json::Value::array();
      for (const json::Value& condition : vmi.path({"status", "conditions"}).items()) {
        if (condition.path({"type"}).as_string() != "Paused") rest.push_back(condition);
      }
      if (on) rest.push_back(json::Value::object({{"type", "Paused"}, {"status", "True"}}));
      vmi["status"].set("conditions", rest);
    });
  }

  const kube::Name vm{"prod", "db-0"};
  test::FakeClock clock;
  test::FakeCluster cluster;
  Recorder recorder;
  backup::Debts debts;
  std::string uid;
  std::optional<backup::GuestWatch> watch;
  std::optional<backup::PauseGuard> guard;
};

backup::ThawPlan plan_thaw_all(Story& story) {
  backup::ThawRequest request;
  request.selection.all = true;
  request.selection.ns = "prod";
  request.run = "20261125-040000-cd34";
  const base::Result<backup::ThawPlan> plan = backup::plan_thaw(story.cluster, story.clock, request, story.deadline(), {});
  REQUIRE(plan.ok());
  return *plan;
}

}  // namespace

TEST_CASE("pause and release: marked before, seen paused, let go by our own unpause, the mark taken away") {
  Story story;
  bool marked_before = false;
  story.cluster.on_change([&](const std::string&, const json::Value& object) {
    if (object.path({"kind"}).as_string() == "VirtualMachineInstance" && !marked_before) marked_before = !story.mark().empty();
  });
  REQUIRE(story.pause().ok());
  CHECK(story.paused());
  CHECK(marked_before);
  CHECK(story.mark() == backup::held_mark_text(k_run, *backup::read_held_mark(story.mark()).since));
  CHECK(story.guard->owes());
  CHECK(story.debts.owed() == std::vector<kube::Name>{story.vm});
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.paused());
  CHECK(story.mark().empty());
  CHECK_FALSE(story.guard->owes());
  CHECK(story.debts.owed().empty());
  const backup::PauseRecord& record = story.guard->record();
  CHECK(record.answer == PauseAnswer::paused);
  CHECK(record.tries == 1);
  CHECK(record.unpaused_by == "this run");
  CHECK_FALSE(record.marked);
  CHECK(*record.sent <= *record.confirmed);
  CHECK(*record.unpause_sent <= *record.unpaused);
  CHECK(story.recorder.count(Event::Kind::paused) == 1);
  CHECK(story.recorder.count(Event::Kind::unpaused) == 1);
  REQUIRE(story.guard->release().ok());
  CHECK(story.sent("unpause") == 1);
}

TEST_CASE("what a watch shows is not read: the mark, the pause and nothing more are sent") {
  Story story;
  story.follow();
  story.cluster.forget_requests();
  SUBCASE("as the watch shows it") {
    REQUIRE(story.pause().ok());
    CHECK(story.got() == 0);
    CHECK(story.guard->record().confirmed.has_value());
  }
  SUBCASE("the VM was written meanwhile: read, and marked again") {
    story.fail(Fault::Action::status, "/virtualmachines/db-0", 1, 409, "PATCH");
    REQUIRE(story.pause().ok());
    CHECK(story.got() == 2);
  }
  SUBCASE("another run's mark is in the watch already") {
    const std::string theirs = backup::held_mark_text("20261125-020000-zz99", story.clock.wall_now());
    REQUIRE(kubevirt::annotate(story.cluster, kubevirt::virtual_machines(), story.vm, backup::k_held_annotation, theirs,
                               {.deadline = story.deadline()}, {})
                .ok());
    CHECK(story.pause().error().message() == "VM prod/db-0 was not paused: run 20261125-020000-zz99 has marked it as paused");
    CHECK(story.mark() == theirs);
    return;
  }
  SUBCASE("the status never says paused: it is read as well before that is believed") {
    story.cluster.on_change([&](const std::string&, const json::Value& object) {
      const json::Value& conditions = object.path({"status", "conditions"});
      for (const json::Value& condition : conditions.items()) {
        if (condition.path({"type"}).as_string() == "Paused") story.set_condition(false);
      }
    });
    CHECK(story.pause().error().code() == ErrorCode::unavailable);
    CHECK(story.got() > 1);
    return;
  }
  SUBCASE("the watch has broken") {
    story.cluster.compact();
    story.cluster.end_watches(true);
    story.clock.advance(5s);
    REQUIRE(story.pause().ok());
    CHECK(story.got() >= 3);
  }
  CHECK(story.paused());
  REQUIRE(story.guard->release().ok());
  CHECK(story.mark().empty());
}

TEST_CASE("a pause of before that the watch still shows is not taken for ours") {
  Story story;
  REQUIRE(kubevirt::pause(story.cluster, story.vm, {.deadline = story.deadline()}, {}).ok());
  story.clock.advance(1s);
  story.follow();
  story.fail(Fault::Action::hang, "/virtualmachineinstances", 9, 503, "WATCH");
  story.cluster.end_watches();
  REQUIRE(kubevirt::unpause(story.cluster, story.vm, {.deadline = story.deadline()}, {}).ok());
  story.clock.advance(1s);
  story.cluster.forget_requests();
  REQUIRE(story.pause().ok());
  // The VM and its instance before, and its instance after the pause.
  CHECK(story.got() == 3);
  CHECK(story.paused());
}

TEST_CASE("the destructor lets go of what is still owed") {
  Story story;
  REQUIRE(story.pause().ok());
  story.guard.reset();
  CHECK_FALSE(story.paused());
  CHECK(story.mark().empty());
  CHECK(story.debts.owed().empty());
}

TEST_CASE("a stop that was requested before sends nothing") {
  Story story;
  std::stop_source stop;
  stop.request_stop();
  story.cluster.forget_requests();
  const base::Result<void> paused = story.guard->pause(story.deadline(), stop.get_token());
  CHECK(paused.error().code() == ErrorCode::cancelled);
  CHECK(story.cluster.requests().empty());
  CHECK_FALSE(story.guard->owes());
}

TEST_CASE("a stop between the mark and the pause takes the mark away again") {
  Story story;
  std::stop_source stop;
  story.cluster.on_change([&](const std::string&, const json::Value&) { stop.request_stop(); });
  const base::Result<void> paused = story.guard->pause(story.deadline(), stop.get_token());
  CHECK(paused.error().code() == ErrorCode::cancelled);
  CHECK(story.sent("pause") == 0);
  CHECK(story.mark().empty());
  CHECK_FALSE(story.guard->owes());
}

TEST_CASE("somebody else's pause is refused, left alone, and leaves no mark") {
  Story story;
  SUBCASE("seen before") {
    REQUIRE(kubevirt::pause(story.cluster, story.vm, {.deadline = story.deadline()}, {}).ok());
    const base::Result<void> paused = story.pause();
    CHECK(paused.error().code() == ErrorCode::precondition);
    CHECK(paused.error().message() == "VM prod/db-0 was not paused: somebody has just paused it");
    CHECK(story.sent("pause") == 1);
  }
  SUBCASE("between the mark and the pause") {
    bool done = false;
    story.cluster.on_change([&](const std::string&, const json::Value& object) {
      if (done || object.path({"kind"}).as_string() != "VirtualMachine") return;
      done = true;
      REQUIRE(kubevirt::pause(story.cluster, story.vm, {.deadline = story.deadline()}, {}).ok());
    });
    const base::Result<void> paused = story.pause();
    CHECK(paused.error().code() == ErrorCode::conflict);
    CHECK(story.guard->record().answer == PauseAnswer::refused);
  }
  CHECK_FALSE(story.guard->owes());
  CHECK(story.debts.owed().empty());
  CHECK(story.mark().empty());
  REQUIRE(story.guard->release().ok());
  CHECK(story.paused());
  CHECK(story.sent("unpause") == 0);
}

TEST_CASE("another run's mark is never written over") {
  Story story;
  const std::string theirs = backup::held_mark_text("20261125-020000-zz99", story.clock.wall_now());
  REQUIRE(kubevirt::annotate(story.cluster, kubevirt::virtual_machines(), story.vm, backup::k_held_annotation, theirs,
                             {.deadline = story.deadline()}, {})
              .ok());
  const base::Result<void> paused = story.pause();
  CHECK(paused.error().code() == ErrorCode::conflict);
  CHECK(paused.error().message() == "VM prod/db-0 was not paused: run 20261125-020000-zz99 has marked it as paused");
  CHECK(paused.error().hint().find("kubectl vmbackup thaw db-0 -n prod") != std::string::npos);
  CHECK(story.mark() == theirs);
  CHECK(story.sent("pause") == 0);
}

TEST_CASE("an instance that is not the planned one is not paused") {
  Story story;
  story.guard.emplace(story.cluster, story.clock, story.recorder, story.debts, backup::GuardTarget{story.vm, "another"}, k_run, 0s);
  CHECK(story.pause().error().code() == ErrorCode::precondition);
  CHECK(story.sent("pause") == 0);
  CHECK(story.mark().empty());
}

TEST_CASE("a mark that may not be written keeps the VM from being paused") {
  Story story;
  story.fail(Fault::Action::status, "/virtualmachines/db-0", 1, 403, "PATCH");
  const base::Result<void> paused = story.pause();
  CHECK(paused.error().code() == ErrorCode::forbidden);
  CHECK(story.recorder.count(Event::Kind::warning) == 0);
  CHECK(story.sent("pause") == 0);
  CHECK_FALSE(story.guard->owes());
}

TEST_CASE("a mark whose answer was lost is taken away again") {
  Story story;
  story.fail(Fault::Action::lose_answer, "/virtualmachines/db-0", 1, 503, "PATCH");
  CHECK(story.pause().error().code() == ErrorCode::unavailable);
  CHECK(story.sent("pause") == 0);
  CHECK(story.mark().empty());
  CHECK_FALSE(story.guard->record().marked);
}

TEST_CASE("a VM that is written by others between look and mark is looked at again") {
  Story story;
  story.fail(Fault::Action::status, "/virtualmachines/db-0", 2, 409, "PATCH");
  REQUIRE(story.pause().ok());
  CHECK_FALSE(story.mark().empty());
}

TEST_CASE("a pause whose answer was lost counts as one, and is let go") {
  Story story;
  story.fail(Fault::Action::lose_answer, "/pause", 1);
  REQUIRE(story.pause().ok());  // its status said so
  CHECK(story.guard->record().answer == PauseAnswer::unclear);
  CHECK_FALSE(story.guard->record().answer_text.empty());
  CHECK(story.sent("pause") == 1);
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.paused());
  CHECK(story.mark().empty());
}

TEST_CASE("a pause that never came is awaited for the launcher's limit before its status is believed") {
  Story story;
  story.fail(Fault::Action::reset, "/pause", 1);
  const base::Result<void> paused = story.pause();
  CHECK(paused.error().code() == ErrorCode::unavailable);
  CHECK(story.guard->owes());
  REQUIRE(story.guard->release().ok());
  const backup::PauseRecord& record = story.guard->record();
  CHECK(*record.unpause_sent - *record.sent >= kubevirt::k_launcher_limit);
  CHECK(record.unpaused_by == "its status, which never said paused");
  CHECK(story.mark().empty());
}

TEST_CASE("a pause that comes after its answer was given up is let go when it comes") {
  Story story;
  story.fail(Fault::Action::reset, "/pause", 1);
  CHECK_FALSE(story.pause().ok());
  story.cluster.at(story.clock.now() + 10s,
                   [&] { REQUIRE(kubevirt::pause(story.cluster, story.vm, {.deadline = base::Deadline::never()}, {}).ok()); });
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.paused());
  CHECK(story.happened("unpause") == 1);
  CHECK(story.guard->record().unpaused_by == "this run");
}

TEST_CASE("a status that does not show an answered pause is not believed: the unpause is repeated until it does") {
  Story story;
  bool late = true;
  story.cluster.on_change([&](const std::string&, const json::Value& object) {
    if (late && object.path({"kind"}).as_string() == "VirtualMachineInstance") {
      late = false;
      story.set_condition(false);
    }
  });
  const base::Result<void> paused = story.pause();
  REQUIRE_FALSE(paused.ok());
  CHECK(paused.error().code() == ErrorCode::unavailable);
  CHECK(story.guard->record().answer == PauseAnswer::paused);
  CHECK_FALSE(story.guard->record().confirmed);
  SUBCASE("it does later") {
    story.cluster.at(story.clock.now() + 20s, [&] { story.set_condition(true); });
    REQUIRE(story.guard->release().ok());
    CHECK(story.guard->record().unpaused_by == "this run");
    CHECK(story.mark().empty());
  }
  SUBCASE("it never does") {
    // The fake's virt-api knows better than its status; a real one has only the status.
    Fault fault;
    fault.action = Fault::Action::status;
    fault.method = "PUT";
    fault.path = "/unpause";
    fault.status = 409;
    fault.text = "Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io \"db-0\": VMI is not paused";
    fault.times = -1;
    story.cluster.add_fault(fault);
    const base::TimePoint begin = story.clock.now();
    const base::Result<void> running = story.guard->release();
    REQUIRE_FALSE(running.ok());
    CHECK(running.error().code() == ErrorCode::unavailable);
    CHECK(story.clock.now() - begin >= 75s);
    CHECK_FALSE(story.mark().empty());
  }
}

TEST_CASE("an unpause that KubeVirt refuses because of a snapshot is repeated until it is good") {
  Story story;
  REQUIRE(story.pause().ok());
  story.snapshot_for(30s);
  const base::TimePoint begin = story.clock.now();
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.paused());
  CHECK(story.clock.now() - begin >= 30s);
  CHECK(story.clock.now() - begin < 33s);
  CHECK(story.guard->record().tries > 10);
  CHECK(story.recorder.count(Event::Kind::unpause_again) == 1);
  CHECK(story.mark().empty());
}

TEST_CASE("a snapshot may hold the VM for as long as its own deadline beside the 75 s") {
  Story story;
  story.guard.emplace(story.cluster, story.clock, story.recorder, story.debts, backup::GuardTarget{story.vm, story.uid}, k_run, 5min);
  REQUIRE(story.pause().ok());
  story.snapshot_for(4min);
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.paused());
}

TEST_CASE("what cannot be let go is said, with the command, and stays marked") {
  Story story;
  REQUIRE(story.pause().ok());
  story.snapshot_for(1h);
  const base::TimePoint begin = story.clock.now();
  const base::Result<void> running = story.guard->release();
  REQUIRE_FALSE(running.ok());
  CHECK(story.clock.now() - begin >= 75s);
  CHECK(story.clock.now() - begin < 95s);
  CHECK(running.error().code() == ErrorCode::unavailable);
  CHECK(running.error().message() ==
        "VM prod/db-0 may still be paused: KubeVirt refuses it as long as a snapshot of the VM is in progress");
  CHECK(running.error().hint() == "let it run with: kubectl vmbackup thaw db-0 -n prod");
  CHECK(story.guard->record().not_unpaused.has_value());
  CHECK(story.recorder.count(Event::Kind::pause_owed) == 1);
  CHECK_FALSE(story.guard->owes());
  CHECK(backup::read_held_mark(story.mark()).run == k_run);
}

TEST_CASE("an instance that is replaced takes the debt along") {
  Story story;
  REQUIRE(story.pause().ok());
  story.cluster.erase_now(kubevirt::virtual_machine_instances(), story.vm);
  story.clock.advance(1s);
  REQUIRE(story.cluster.find(kubevirt::virtual_machine_instances(), story.vm).has_value());
  REQUIRE(story.guard->release().ok());
  CHECK(story.guard->record().unpaused_by == "the end of the instance");
  CHECK(story.mark().empty());
}

TEST_CASE("a VM that somebody else let run is not paused any more") {
  Story story;
  REQUIRE(story.pause().ok());
  REQUIRE(kubevirt::unpause(story.cluster, story.vm, {.deadline = story.deadline()}, {}).ok());
  REQUIRE(story.guard->release().ok());
  CHECK(story.guard->record().unpaused_by == "its status, which does not say paused any more");
  CHECK(story.mark().empty());
}

TEST_CASE("the API server away while the VM is let go") {
  Story story;
  REQUIRE(story.pause().ok());
  story.fail(Fault::Action::reset, "/unpause", 3);
  story.fail(Fault::Action::status, "/virtualmachines/db-0", 2, 503, "PATCH");
  REQUIRE(story.guard->release().ok());
  CHECK_FALSE(story.paused());
  CHECK(story.mark().empty());
  CHECK(story.cluster.unused_faults().empty());
}

TEST_CASE("a mark that stays behind is warned of") {
  Story story;
  REQUIRE(story.pause().ok());
  story.fail(Fault::Action::status, "/virtualmachines/db-0", -1, 403, "PATCH");
  REQUIRE(story.guard->release().ok());
  CHECK(story.guard->record().marked);
  CHECK(story.recorder.count(Event::Kind::warning) == 1);
}

TEST_CASE("a mark that somebody has changed meanwhile is left") {
  Story story;
  REQUIRE(story.pause().ok());
  REQUIRE(kubevirt::annotate(story.cluster, kubevirt::virtual_machines(), story.vm, backup::k_held_annotation, "somebody",
                             {.deadline = story.deadline()}, {})
              .ok());
  REQUIRE(story.guard->release().ok());
  CHECK(story.mark() == "somebody");
  CHECK(story.recorder.count(Event::Kind::warning) == 0);
}

TEST_CASE("one VM owes a freeze and a pause, and each is settled for itself") {
  Story story;
  backup::FreezeGuard freeze(story.cluster, story.clock, story.recorder, story.debts, {story.vm, story.uid}, 60s);
  REQUIRE(freeze.freeze({}).ok());
  REQUIRE(story.pause().ok());
  CHECK(story.debts.owed() == std::vector<kube::Name>{story.vm});
  REQUIRE(story.guard->release().ok());
  CHECK(story.debts.owed() == std::vector<kube::Name>{story.vm});
  CHECK(story.cluster.guest_frozen("prod", "db-0"));
  REQUIRE(freeze.release().ok());
  CHECK(story.debts.owed().empty());
  CHECK_FALSE(story.cluster.guest_frozen("prod", "db-0"));
}

TEST_CASE("after a KILL thaw --all finds the mark, who left it and since when, and lets the VM run") {
  Story story;
  // All that a KILL would leave: the guard itself takes no part until the end.
  REQUIRE(story.pause().ok());
  story.clock.advance(10min);
  const backup::ThawPlan plan = plan_thaw_all(story);
  REQUIRE(plan.items.size() == 1);
  CHECK(plan.items[0].facts.marked);
  CHECK(plan.items[0].facts.paused);
  CHECK(plan.items[0].facts.run == k_run);
  CHECK(*plan.items[0].facts.held_for >= 10min);
  CHECK(plan.items[0].choice.decision == backup::ThawDecision::let_go);
  const backup::FreezeReport report = backup::thaw_guests({story.cluster, story.clock, story.recorder, story.debts}, plan);
  CHECK_FALSE(report.items[0].error.has_value());
  CHECK_FALSE(story.paused());
  CHECK(story.mark().empty());
  REQUIRE(story.guard->release().ok());
  CHECK(story.debts.owed().empty());
}

TEST_CASE("what a mark says is read with care") {
  const base::WallTime now = test::FakeClock::default_wall_start();
  const backup::HeldMark mark = backup::read_held_mark(backup::held_mark_text(k_run, now));
  CHECK(mark.run == k_run);
  CHECK(mark.since == now);
  CHECK(backup::read_held_mark("run 20261125-030000-abcd").run == "20261125-030000-abcd");
  CHECK_FALSE(backup::read_held_mark("run 20261125-030000-abcd").since.has_value());
  for (const char* odd : {"", "true", "run", "run \x1b[2J", "since never", "run a/b since 2026-13-45T00:00:00Z"}) {
    CAPTURE(odd);
    CHECK(backup::read_held_mark(odd).run.empty());
    CHECK_FALSE(backup::read_held_mark(odd).since.has_value());
  }
}
