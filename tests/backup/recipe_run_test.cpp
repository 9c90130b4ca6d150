#include "backup/recipe_run.hpp"

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "kubevirt/freeze_probe.hpp"
#include "kubevirt/guest_control.hpp"
#include "kubevirt/resources.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using backup::Debts;
using backup::Event;
using backup::Recipe;
using backup::RecipeRun;
using backup::StepFact;
using backup::StepReport;
using base::ErrorCode;
using base::Result;
using std::chrono::seconds;

struct Recorder final : backup::Observer {
  std::vector<Event> events;
  void on(const Event& event) override { events.push_back(event); }
  // "quiescing a", "stepFailed a", ...
  std::vector<std::string> story() const {
    static const std::map<Event::Kind, std::string> words = {{Event::Kind::quiescing, "quiescing"}, {Event::Kind::quiesced, "quiesced"},
                                                             {Event::Kind::releasing, "releasing"}, {Event::Kind::released, "released"},
                                                             {Event::Kind::step_error, "failed"},   {Event::Kind::step_said, "output"}};
    std::vector<std::string> story;
    for (const Event& event : events) story.push_back(words.at(event.kind) + " " + event.object);
    return story;
  }
};

Recipe recipe_of(const std::string& steps) {
  const Result<Recipe> recipe = backup::read_recipe("apiVersion: vmbackup/v1\nkind: Recipe\nsteps:\n" + steps, "recipe");
  if (!recipe) throw std::runtime_error(recipe.error().message());
  return *recipe;
}

const char* k_lock = R"(
- name: lock
  in: guest
  hold: true
  quiesce: {command: [lock, tables, 2s], timeout: 20s}
  check: {command: [locked, tables], interval: 500ms}
  release: {command: [unlock, tables]}
)";

struct Fixture {
  test::FakeClock clock;
  test::FakeCluster cluster{clock};
  Recorder recorder;
  Debts debts;
  backup::RecipeTarget target;
  backup::RecipeOptions options{.run = "r1", .environment = {"PATH=/usr/bin:/bin", "MYSQL_PWD=secret", "HIDDEN=x"}};
  std::unique_ptr<RecipeRun> run;
  std::stop_source stop;

  explicit Fixture(const std::string& steps, std::vector<std::pair<std::string, std::string>> knobs = {}) {
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0", .knobs = std::move(knobs)})) cluster.apply(object);
    cluster.settle();
    target.vm = {"prod", "db-0"};
    target.instance = *kubevirt::decode_virtual_machine_instance(*cluster.find(kubevirt::virtual_machine_instances(), target.vm));
    make(steps);
  }
  void make(const std::string& steps) {
    run = std::make_unique<RecipeRun>(cluster, clock, recorder, debts, recipe_of(steps), target, options);
  }
  base::Deadline within(base::Duration length) { return base::Deadline::after(clock, length); }
  Result<void> prepare() { return run->prepare(within(seconds(30)), {}); }
  Result<void> quiesce() { return run->quiesce(within(std::chrono::minutes(5)), stop.get_token()); }
  Result<void> held(bool guest = true) { return run->still_held(guest, within(seconds(30)), {}); }
  void freeze() { REQUIRE(kubevirt::freeze(cluster, target.vm, seconds(60), {.deadline = within(seconds(20))}, {})); }
  void thaw() { REQUIRE(kubevirt::unfreeze(cluster, target.vm, {.deadline = within(seconds(20))}, {})); }
  bool owes() const { return !debts.owed().empty(); }
  // What happened to the guest: "lock tables 2s", "frozen", "thawed", ...
  std::vector<std::string> happened() const {
    std::vector<std::string> lines;
    for (const test::Happening& each : cluster.happenings()) {
      if (each.event == "frozen" || each.event == "thawed") lines.push_back(each.event);
      const bool asks = each.detail.rfind("locked", 0) == 0;
      if (each.event == "guest-exec" && !asks) lines.push_back(each.detail);
    }
    return lines;
  }
};

const backup::StepActionReport& action_of(const StepReport& report, const std::string& name) {
  const auto found = std::find_if(report.actions.begin(), report.actions.end(),
                                  [&name](const backup::StepActionReport& action) { return action.action == name; });
  REQUIRE(found != report.actions.end());
  return *found;
}

using Lines = std::vector<std::string>;

TEST_CASE("a lock in the guest is held around the freeze, and let go after the thaw") {
  Fixture f(k_lock);
  REQUIRE(f.prepare());
  CHECK_FALSE(f.owes());
  const base::TimePoint begin = f.clock.now();
  REQUIRE(f.quiesce());
  CHECK(f.owes());
  // Not ready before its check passes.
  CHECK(f.clock.now() - begin >= seconds(2));
  const base::TimePoint ready = f.run->facts().front().ready.value();
  f.freeze();
  // A frozen agent answers nothing else.
  CHECK(f.held(false).ok());
  CHECK_FALSE(f.run->facts().front().held);
  f.thaw();
  const base::TimePoint cut = f.clock.now();
  REQUIRE(f.held());
  CHECK(f.run->facts().front().held.value() >= cut);
  CHECK(f.run->facts().front().ready == ready);
  REQUIRE(f.run->release());
  CHECK_FALSE(f.owes());
  CHECK(f.happened() == Lines{"lock tables 2s", "frozen", "thawed", "unlock tables"});
  CHECK(f.recorder.story() == Lines{"quiescing lock", "quiesced lock", "releasing lock", "released lock"});
  // A second time does nothing.
  CHECK(f.run->release().ok());
  CHECK(f.happened().size() == 4);
  const StepReport report = f.run->report().front();
  CHECK(report.where == "the guest");
  CHECK(report.hold);
  CHECK(action_of(report, "check").tries >= 3);
  CHECK(action_of(report, "check").exit_code == 0);
  CHECK(action_of(report, "held").exit_code == 0);
  CHECK(action_of(report, "release").exit_code == 0);
  CHECK(action_of(report, "release").output_bytes == 0);
}

TEST_CASE("a thaw that is about to come is waited for, one that does not come is not") {
  Fixture f(k_lock);
  REQUIRE(f.prepare());
  REQUIRE(f.quiesce());
  f.freeze();
  f.cluster.at(f.clock.now() + seconds(3), [&f] {
    REQUIRE(
        f.cluster.put_subresource(kubevirt::guest_subresources(), f.target.vm, "unfreeze", {}, {.deadline = f.within(seconds(20))}, {}));
  });
  const base::TimePoint asked = f.clock.now();
  REQUIRE(f.held());
  CHECK(f.run->facts().front().held.value() >= asked + seconds(3));
  f.freeze();
  const base::TimePoint again = f.clock.now();
  const Result<void> frozen = f.held();
  REQUIRE_FALSE(frozen.ok());
  CHECK(frozen.error().message().find("the agent is in frozen state") != std::string::npos);
  CHECK(f.clock.now() - again <= seconds(12));
  f.thaw();
  CHECK(f.run->release().ok());
}

TEST_CASE("several steps are quiesced in order and released in the reverse one") {
  Fixture f(R"(
- {name: a, in: guest, quiesce: {command: [echo, a]}, release: {command: [echo, not-a]}}
- {name: b, in: guest, quiesce: {command: [echo, b]}}
- {name: c, in: guest, quiesce: {command: [echo, c]}, release: {command: [echo, not-c]}}
)");
  REQUIRE(f.prepare());
  REQUIRE(f.quiesce());
  REQUIRE(f.held());
  for (const StepFact& fact : f.run->facts()) CHECK((fact.ready && fact.held && *fact.held >= *fact.ready));
  REQUIRE(f.run->release());
  CHECK(f.happened() == Lines{"echo a", "echo b", "echo c", "echo not-c", "echo not-a"});
  CHECK(action_of(f.run->report()[0], "quiesce").output_bytes == 2);
}

TEST_CASE("a step that fails ends it, and what was begun is released, that step too") {
  Fixture f(R"(
- {name: a, in: guest, quiesce: {command: [echo, a]}, release: {command: [echo, not-a]}}
- {name: b, in: guest, quiesce: {command: ["false"]}, release: {command: [echo, not-b]}}
- {name: c, in: guest, quiesce: {command: [echo, c]}, release: {command: [echo, not-c]}}
)");
  REQUIRE(f.prepare());
  const Result<void> failed = f.quiesce();
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code() == ErrorCode::precondition);
  CHECK(failed.error().message() == "quiesce recipe step b for VM prod/db-0: false ended with exit code 1");
  CHECK(failed.error().hint() == "-v shows what it said");
  CHECK(f.owes());
  CHECK(f.run->release().ok());
  CHECK(f.happened() == Lines{"echo a", "false", "echo not-b", "echo not-a"});
  CHECK_FALSE(f.run->facts()[1].ready);
  CHECK_FALSE(f.run->facts()[2].ready);
  CHECK(action_of(f.run->report()[1], "quiesce").exit_code == 1);
}

TEST_CASE("on-error: continue goes on, but such a step is not ready") {
  Fixture f(R"(
- {name: a, in: guest, on-error: continue, quiesce: {command: ["false"]}, release: {command: ["false"]}}
- {name: b, in: guest, quiesce: {command: ["true"]}}
)");
  REQUIRE(f.prepare());
  CHECK(f.quiesce().ok());
  CHECK_FALSE(f.run->facts()[0].ready);
  CHECK(f.run->facts()[1].ready);
  CHECK(f.held().ok());
  CHECK_FALSE(f.run->facts()[0].held);
  CHECK(f.run->release().ok());
  CHECK(f.recorder.story() == Lines{"quiescing a", "failed a", "quiescing b", "quiesced b", "releasing a", "failed a"});
}

TEST_CASE("a check is tried as often as it may be") {
  Fixture f(R"(
- name: a
  in: guest
  quiesce: {command: [sleep, 1s]}
  check: {command: [locked, never], retries: 4, interval: 2s}
)");
  REQUIRE(f.prepare());
  const base::TimePoint begin = f.clock.now();
  const Result<void> failed = f.quiesce();
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().message() == "quiesce recipe step a for VM prod/db-0: locked ended with exit code 1");
  CHECK(action_of(f.run->report()[0], "check").tries == 5);
  CHECK(f.clock.now() - begin >= seconds(9));
}

TEST_CASE("what holds must run and pass its check in its time") {
  Fixture late(R"(
- name: a
  in: guest
  hold: true
  quiesce: {command: [lock, x, 60s], timeout: 10s}
  check: {command: [locked, x]}
  release: {command: [unlock, x]}
)");
  REQUIRE(late.prepare());
  const base::TimePoint begin = late.clock.now();
  const Result<void> failed = late.quiesce();
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code() == ErrorCode::unavailable);
  CHECK(failed.error().message() ==
        "quiesce recipe step a for VM prod/db-0: its check did not pass in time: locked ended with exit code 1");
  CHECK(late.clock.now() - begin < seconds(15));
  CHECK(late.run->release().ok());
  CHECK(late.happened() == Lines{"lock x 60s", "unlock x"});

  // It ends before its check passes: no use in waiting.
  Fixture ended(R"(
- name: a
  in: guest
  hold: true
  quiesce: {command: ["false"], timeout: 30s}
  check: {command: [locked, x]}
  release: {command: [unlock, x]}
)");
  REQUIRE(ended.prepare());
  const base::TimePoint start = ended.clock.now();
  CHECK(ended.quiesce().error().message() ==
        "quiesce recipe step a for VM prod/db-0: false does not run any more: it ended with exit code 1");
  CHECK(ended.clock.now() - start < seconds(3));
  CHECK(action_of(ended.run->report()[0], "quiesce").exit_code == 1);
}

TEST_CASE("a lock that dies during the freeze is found out") {
  Fixture f(k_lock);
  REQUIRE(f.prepare());
  REQUIRE(f.quiesce());
  // Somebody ends the session; the agent's 1001st process is the lock.
  REQUIRE(kubevirt::run_in_guest(
      f.cluster, f.clock,
      {f.target.instance, *kubevirt::find_launcher_pod(f.cluster, f.target.instance, {.deadline = f.within(seconds(5))}, {})},
      {.argv = {"kill", "1001"}}, f.within(seconds(5)), {}));
  const Result<void> lost = f.held();
  REQUIRE_FALSE(lost.ok());
  CHECK(lost.error().message() == "look at recipe step lock for VM prod/db-0: locked ended with exit code 1");
  CHECK_FALSE(f.run->facts().front().held);
  CHECK(f.run->release().ok());
}

TEST_CASE("a release waits for a frozen agent, and needs none of a guest that has ended") {
  Fixture f(k_lock);
  REQUIRE(f.prepare());
  REQUIRE(f.quiesce());
  f.freeze();
  f.cluster.at(f.clock.now() + seconds(9), [&f] {
    REQUIRE(
        f.cluster.put_subresource(kubevirt::guest_subresources(), f.target.vm, "unfreeze", {}, {.deadline = f.within(seconds(20))}, {}));
  });
  CHECK(f.run->release().ok());
  CHECK(action_of(f.run->report()[0], "release").tries > 2);
  CHECK(f.happened().back() == "unlock tables");

  Fixture gone(k_lock);
  REQUIRE(gone.prepare());
  REQUIRE(gone.quiesce());
  gone.cluster.erase_now(kubevirt::virtual_machine_instances(), gone.target.vm);
  CHECK(gone.run->release().ok());

  Fixture stuck(k_lock);
  REQUIRE(stuck.prepare());
  REQUIRE(stuck.quiesce());
  stuck.cluster.add_fault({.action = test::Fault::Action::status, .path = "/exec", .times = -1, .status = 503});
  const Result<void> failed = stuck.run->release();
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code() == ErrorCode::unavailable);
  CHECK(failed.error().message().rfind("release recipe step lock for VM prod/db-0: run unlock in the guest: ", 0) == 0);
  CHECK_FALSE(stuck.owes());
}

TEST_CASE("a release that does not end what holds is an error") {
  Fixture f(R"(
- name: a
  in: guest
  hold: true
  quiesce: {command: [lock, x]}
  check: {command: [locked, x]}
  release: {command: ["true"]}
)");
  REQUIRE(f.prepare());
  REQUIRE(f.quiesce());
  const Result<void> failed = f.run->release();
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().message() ==
        "release recipe step a for VM prod/db-0: its release did not end what holds: it may still run in the guest");
}

TEST_CASE("a stop ends the quiescing, never the release; the destructor is the last net") {
  Fixture f(std::string(k_lock) +
            "- {name: slow, in: guest, quiesce: {command: [sleep, 60s], timeout: 2m}, release: {command: [echo, r]}}\n");
  REQUIRE(f.prepare());
  f.cluster.at(f.clock.now() + seconds(10), [&f] { f.stop.request_stop(); });
  const Result<void> stopped = f.quiesce();
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.error().code() == ErrorCode::cancelled);
  CHECK(f.owes());
  f.run.reset();
  CHECK_FALSE(f.owes());
  CHECK(f.happened() == Lines{"lock tables 2s", "sleep 60s", "echo r", "unlock tables"});
  // Stopped before: nothing is begun.
  Fixture early(k_lock);
  REQUIRE(early.prepare());
  early.stop.request_stop();
  CHECK(early.quiesce().error().code() == ErrorCode::cancelled);
  CHECK_FALSE(early.owes());
  CHECK(early.happened().empty());
}

TEST_CASE("the deadline of the run is one, the time of a step is not") {
  Fixture f("- {name: a, in: guest, quiesce: {command: [sleep, 60s], timeout: 4s}}\n");
  REQUIRE(f.prepare());
  const Result<void> own = f.quiesce();
  CHECK(own.error().code() == ErrorCode::unavailable);
  CHECK(own.error().message().find("it did not end in time") != std::string::npos);
  Fixture g("- {name: a, in: guest, on-error: continue, quiesce: {command: [sleep, 60s], timeout: 30s}}\n");
  REQUIRE(g.prepare());
  CHECK(g.run->quiesce(g.within(seconds(3)), {}).error().code() == ErrorCode::timeout);
}

TEST_CASE("what commands get, and what is told of them") {
  Fixture f(R"(
- {name: a, in: guest, quiesce: {command: [printenv, MYSQL_PWD], env-from: [MYSQL_PWD]}}
- {name: b, in: guest, quiesce: {command: [printenv, VMBACKUP_VM]}}
- {name: c, in: guest, quiesce: {command: [cat], stdin-from: MYSQL_PWD}}
- {name: d, in: guest, on-error: continue, quiesce: {command: [printenv, HIDDEN]}}
)");
  f.options.tell_outputs = true;
  f.make(R"(
- {name: a, in: guest, quiesce: {command: [printenv, MYSQL_PWD], env-from: [MYSQL_PWD]}}
- {name: b, in: guest, quiesce: {command: [printenv, VMBACKUP_VM]}}
- {name: c, in: guest, quiesce: {command: [cat], stdin-from: MYSQL_PWD}}
- {name: d, in: guest, on-error: continue, quiesce: {command: [printenv, HIDDEN]}}
)");
  REQUIRE(f.prepare());
  f.cluster.forget_requests();
  REQUIRE(f.quiesce());
  CHECK_FALSE(f.run->facts()[3].ready);
  std::vector<std::string> outputs;
  for (const Event& event : f.recorder.events) {
    if (event.kind == Event::Kind::step_said) outputs.push_back(event.text);
  }
  CHECK(outputs == Lines{"secret\n", "db-0\n", "secret"});
  for (const test::RequestRecord& request : f.cluster.requests()) CHECK(request.target.find("secret") == std::string::npos);
  CHECK(action_of(f.run->report()[0], "quiesce").output_bytes == 7);
}

TEST_CASE("what stands in the way is said before anything is begun") {
  const auto refused = [](Fixture&& f, ErrorCode code, const std::string& message) {
    const Result<void> result = f.prepare();
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code() == code);
    CHECK(result.error().message() == message);
    CHECK(f.happened().empty());
  };
  refused(Fixture(k_lock, {{"guest-exec", "blocked"}}), ErrorCode::precondition,
          "the recipe for VM prod/db-0 has steps in the guest: the guest agent of VirtualMachineInstance prod/db-0 does not allow "
          "guest-exec and guest-exec-status");
  refused(Fixture(k_lock, {{"agent", "none"}}), ErrorCode::precondition,
          "the recipe for VM prod/db-0 has steps in the guest, and its guest agent is not connected");
  refused(Fixture("- {name: a, in: guest, quiesce: {command: [x], env-from: [NOT_SET]}}\n"), ErrorCode::usage,
          "recipe step a for VM prod/db-0: NOT_SET is not set in the environment, and its quiesce needs it");
  refused(Fixture("- {name: a, in: pod, pod: {selector: app=none}, quiesce: {command: [x]}}\n"), ErrorCode::not_found,
          "recipe step a for VM prod/db-0: no pod with app=none in namespace prod is running");
  Fixture stopped(k_lock);
  stopped.target.instance = {};
  stopped.make(k_lock);
  CHECK(stopped.prepare().error().message() == "the recipe for VM prod/db-0 has steps in the guest, and the VM does not run");
  // Without steps in the guest that does not matter.
  stopped.make("- {name: a, in: local, quiesce: {command: [\"true\"]}}\n");
  CHECK(stopped.prepare().ok());
  Fixture f(k_lock);
  const auto bob = f.cluster.as_user("bob");
  RecipeRun run(*bob, f.clock, f.recorder, f.debts, recipe_of(k_lock), f.target, f.options);
  CHECK(run.prepare(f.within(seconds(5)), {}).error().code() == ErrorCode::forbidden);
}

TEST_CASE("Velero's hooks on the same pod are noted") {
  Fixture f(k_lock);
  const kube::Resource pods{"", "v1", "pods", "Pod", true};
  const kube::Name pod = *kubevirt::find_launcher_pod(f.cluster, f.target.instance, {.deadline = f.within(seconds(5))}, {});
  REQUIRE(f.prepare());
  CHECK(f.run->notes() == Lines{"pod prod/" + pod.name + " has Velero's hook annotations as well: a Velero backup runs those too"});
  f.cluster.change(pods, pod, [](json::Value& object) { object["metadata"].erase("annotations"); });
  f.make(k_lock);
  REQUIRE(f.prepare());
  CHECK(f.run->notes().empty());
}

TEST_CASE("commands in a pod") {
  Fixture f("- {name: x, in: guest, quiesce: {command: [x]}}\n");
  const json::Value launcher = f.cluster.list_all({"", "v1", "pods", "Pod", true}).at(0);
  const auto add = [&](const std::string& name) {
    json::Value pod = launcher;
    pod["metadata"] = json::Value::object({{"name", name}, {"namespace", "web"}, {"labels", json::Value::object({{"app", "proxy"}})}});
    f.cluster.apply(pod);
    f.cluster.change({"", "v1", "pods", "Pod", true}, {"web", name}, [](json::Value& object) { object["status"].set("phase", "Running"); });
  };
  add("proxy-0");
  const std::string steps = R"(
- name: drain
  in: pod
  pod: {selector: app=proxy, namespace: web}
  quiesce: {command: [cat], stdin-from: MYSQL_PWD}
  check: {command: [echo, ok]}
  release: {command: ["true"]}
- {name: late, in: pod, on-error: continue, pod: {name: proxy-0, namespace: web}, quiesce: {command: [sleep, 60s], timeout: 2s}}
)";
  f.make(steps);
  REQUIRE(f.prepare());
  f.cluster.forget_requests();
  REQUIRE(f.quiesce());
  CHECK(f.held().ok());
  CHECK(f.run->release().ok());
  const std::vector<StepReport> report = f.run->report();
  CHECK(report[0].where == "pod web/proxy-0");
  CHECK(action_of(report[0], "quiesce").output_bytes == 6);
  CHECK(action_of(report[0], "held").output_bytes == 3);
  CHECK(f.run->facts()[0].held.has_value());
  CHECK(action_of(report[1], "quiesce").error->code() == ErrorCode::unavailable);
  CHECK_FALSE(action_of(report[1], "quiesce").exit_code.has_value());
  for (const test::RequestRecord& request : f.cluster.requests()) CHECK(request.target.find("secret") == std::string::npos);
  add("proxy-1");
  f.make(steps);
  const Result<void> two = f.prepare();
  REQUIRE_FALSE(two.ok());
  CHECK(two.error().message() == "recipe step drain for VM prod/db-0: more than one pod with app=proxy in namespace web is running: 2");
}

// On the real clock: processes of this machine know no other, and the pings of a session that waits for ever would drive a FakeClock.
struct Live {
  base::SystemClock clock;
  base::Wakeup due;
  test::FakeCluster cluster{clock, {}, [this](base::TimePoint) { due.notify(); }};
  std::jthread timers{[this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      clock.wait(due, cluster.next_due().value_or(clock.now() + seconds(1)), stop);
      cluster.run_due();
    }
  }};
  Recorder recorder;
  Debts debts;
  std::unique_ptr<RecipeRun> run;

  explicit Live(const std::string& steps) {
    for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0"})) cluster.apply(object);
    base::Wakeup none;
    while (!cluster.settled()) clock.wait(none, clock.now() + std::chrono::milliseconds(1), {});
    backup::RecipeTarget target{{"prod", "db-0"}, {}};
    target.instance = *kubevirt::decode_virtual_machine_instance(*cluster.find(kubevirt::virtual_machine_instances(), target.vm));
    backup::RecipeOptions options{.run = "r1", .environment = {"PATH=/usr/bin:/bin", "SECRET=s3", "HIDDEN=x"}, .tell_outputs = true};
    run = std::make_unique<RecipeRun>(cluster, clock, recorder, debts, recipe_of(steps), target, options);
  }
  base::Deadline within(base::Duration length) { return base::Deadline::after(clock, length); }
  std::string said() const {
    std::string all;
    for (const Event& event : recorder.events) {
      if (event.kind == Event::Kind::step_said) all += event.text;
    }
    return all;
  }
};

TEST_CASE("local steps get what the recipe names, and nothing else of the environment") {
  Live f(R"(
- {name: a, in: local, quiesce: {command: [env], env: {A: b c}, env-from: [SECRET]}, release: {command: [env]}}
- {name: b, in: local, on-error: continue, quiesce: {command: [/no/such/program]}}
- {name: c, in: local, on-error: continue, quiesce: {command: [sleep, "60"], timeout: 100ms}}
)");
  REQUIRE(f.run->prepare(f.within(seconds(30)), {}));
  REQUIRE(f.run->quiesce(f.within(seconds(60)), {}));
  const std::string said = f.said();
  for (const char* line : {"A=b c\n", "SECRET=s3\n", "PATH=/usr/bin:/bin\n", "VMBACKUP_VM=db-0\n", "VMBACKUP_NAMESPACE=prod\n",
                           "VMBACKUP_RUN=r1\n", "VMBACKUP_STEP=a\n", "VMBACKUP_ACTION=quiesce\n"}) {
    CHECK(said.find(line) != std::string::npos);
  }
  CHECK(said.find("HIDDEN") == std::string::npos);
  CHECK(f.run->release().ok());
  CHECK(f.said().find("VMBACKUP_ACTION=release\n") != std::string::npos);
  const std::vector<StepReport> report = f.run->report();
  CHECK(report[0].where == "this machine");
  CHECK(action_of(report[0], "quiesce").exit_code == 0);
  CHECK(action_of(report[1], "quiesce").error->code() == ErrorCode::not_found);
  CHECK(action_of(report[2], "quiesce").error->code() == ErrorCode::unavailable);
  CHECK(action_of(report[2], "quiesce").error->message() == "sleep did not end in time and was ended");
}

TEST_CASE("a local process that holds is looked at, and ended by its release") {
  const std::string flag = (std::filesystem::temp_directory_path() / ("vmbackup-recipe-" + std::to_string(::getpid()))).string();
  const std::string steps =
      "- name: a\n  in: local\n  hold: true\n"
      "  quiesce: {command: [sh, -c, \"trap 'exit 0' TERM; : > FLAG; while test -e FLAG; do sleep 0.01; done\"]}\n"
      "  check: {command: [test, -e, FLAG], interval: 100ms}\n"
      "  release: {command: [rm, FLAG]}\n";
  std::string with = steps;
  for (std::size_t at = with.find("FLAG"); at != std::string::npos; at = with.find("FLAG")) with.replace(at, 4, flag);
  Live f(with);
  REQUIRE(f.run->prepare(f.within(seconds(30)), {}));
  REQUIRE(f.run->quiesce(f.within(seconds(60)), {}));
  const base::TimePoint cut = f.clock.now();
  REQUIRE(f.run->still_held(false, f.within(seconds(30)), {}));
  CHECK(f.run->facts()[0].held.value() >= cut);
  CHECK(f.run->release().ok());
  CHECK_FALSE(std::filesystem::exists(flag));
  // It dies by itself: then it is not in force, though its release will do no harm.
  f.run.reset();
  Live dead(
      "- {name: a, in: local, hold: true, quiesce: {command: [sleep, \"0.2\"]}, check: {command: [\"true\"]}, release: {command: "
      "[\"true\"]}}\n");
  REQUIRE(dead.run->prepare(dead.within(seconds(30)), {}));
  REQUIRE(dead.run->quiesce(dead.within(seconds(60)), {}));
  base::Wakeup none;
  while (dead.run->still_held(false, dead.within(seconds(30)), {}).ok()) {
    dead.clock.wait(none, dead.clock.now() + std::chrono::milliseconds(10), {});
  }
  CHECK(dead.recorder.events.back().text ==
        "look at recipe step a for VM prod/db-0: sleep does not run any more: it ended with exit code 0");
  CHECK(dead.run->release().ok());
}

TEST_CASE("a command that holds in a pod") {
  const std::string step =
      "- name: a\n  in: pod\n  hold: true\n  pod: {selector: vm.kubevirt.io/name=db-0, container: compute}\n"
      "  quiesce: {command: [lock, x], timeout: 20s}\n  check: {command: [locked, x], interval: 100ms}\n"
      "  release: {command: [unlock, x]}\n";
  Live f(step);
  REQUIRE(f.run->prepare(f.within(seconds(30)), {}));
  REQUIRE(f.run->quiesce(f.within(seconds(60)), {}));
  REQUIRE(f.run->still_held(false, f.within(seconds(30)), {}));
  CHECK(f.run->facts()[0].held.has_value());
  CHECK(f.run->release().ok());
  CHECK(action_of(f.run->report()[0], "release").exit_code == 0);
  // The destructor is the last net here too.
  Live lost(step);
  REQUIRE(lost.run->prepare(lost.within(seconds(30)), {}));
  REQUIRE(lost.run->quiesce(lost.within(seconds(60)), {}));
  lost.run.reset();
  CHECK(lost.debts.owed().empty());
}

}  // namespace
