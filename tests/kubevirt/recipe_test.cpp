#include "kubevirt/recipe.hpp"

#include <doctest/doctest.h>

#include "support/fake_clock.hpp"
#include "support/fake_cluster.hpp"

namespace {

using namespace vmbackup;
using base::ErrorCode;
using base::Result;
using kubevirt::Recipe;
using kubevirt::RecipeOrigin;
using kubevirt::StepPlace;
using std::chrono::seconds;

const char* k_head = "apiVersion: vmbackup/v1\nkind: Recipe\nsteps:\n";
const char* k_quiesce = "  quiesce: {command: [sync]}\n";

Result<Recipe> parse(const std::string& text, RecipeOrigin origin = RecipeOrigin::file) {
  return kubevirt::parse_recipe(text, origin, "recipe x.yaml");
}

// The error of a recipe with these lines after "steps:", without its beginning.
std::string refusal(const std::string& steps, RecipeOrigin origin = RecipeOrigin::file) {
  const Result<Recipe> recipe = parse(k_head + steps, origin);
  if (recipe) return "it was taken";
  CHECK(recipe.error().code() == ErrorCode::invalid);
  CHECK(recipe.error().message().rfind("recipe x.yaml: ", 0) == 0);
  return recipe.error().message().substr(15);
}

std::string step(const std::string& more) { return "- name: a\n  in: guest\n" + more; }

TEST_CASE("a recipe with everything in it") {
  const Result<Recipe> recipe = parse(std::string(k_head) + R"yaml(
- name: lock-tables
  in: guest
  hold: true
  quiesce:
    command: [/usr/bin/mysql, --batch, -e, "FLUSH TABLES WITH READ LOCK; SELECT SLEEP(600)"]
    env: {LANG: C}
    env-from: [MYSQL_PWD]
    stdin-from: SQL
    timeout: 45s
  check: {command: [/usr/bin/test, -e, /run/lock], timeout: 2s, retries: 7, interval: 500ms}
  release: {
  command:
    [ pkill, mysql ], timeout : 1m30s}
- name: drain
  in: pod
  pod: {selector: "app=proxy", namespace: web, container: app}
  on-error: continue
  quiesce: {
  command:
    [drain]}
- name: tell
  in: local
  quiesce: {command: [logger, ""]}
  release: {command: [logger]}
)yaml");
  REQUIRE(recipe.ok());
  REQUIRE(recipe->steps.size() == 3);
  const kubevirt::RecipeStep& lock = recipe->steps[0];
  CHECK(lock.name == "lock-tables");
  CHECK(lock.place == StepPlace::guest);
  CHECK(lock.hold);
  CHECK_FALSE(lock.may_fail);
  CHECK(lock.quiesce.argv.size() == 4);
  CHECK(lock.quiesce.env == std::vector<std::pair<std::string, std::string>>{{"LANG", "C"}});
  CHECK(lock.quiesce.env_from == std::vector<std::string>{"MYSQL_PWD"});
  CHECK(lock.quiesce.stdin_from == "SQL");
  CHECK(lock.quiesce.timeout == seconds(45));
  CHECK(lock.check->command.argv == std::vector<std::string>{"/usr/bin/test", "-e", "/run/lock"});
  CHECK(lock.check->command.timeout == seconds(2));
  CHECK(lock.check->retries == 7);
  CHECK(lock.check->interval == std::chrono::milliseconds(500));
  CHECK(lock.release->timeout == seconds(90));
  const kubevirt::RecipeStep& drain = recipe->steps[1];
  CHECK(drain.place == StepPlace::pod);
  CHECK(drain.pod.ns == "web");
  CHECK(drain.pod.selector == "app=proxy");
  CHECK(drain.pod.container == "app");
  CHECK(drain.may_fail);
  CHECK_FALSE(drain.release);
  CHECK(drain.quiesce.timeout == seconds(30));
  CHECK(recipe->steps[2].place == StepPlace::local);
  CHECK(recipe->steps[2].quiesce.argv == std::vector<std::string>{"logger", ""});
  CHECK(recipe->steps[2].release->timeout == seconds(60));
  CHECK(recipe->any(StepPlace::local));
}

TEST_CASE("what is wrong is named by its path") {
  const std::string quiesce = k_quiesce;
  CHECK(refusal(step(quiesce)) == "it was taken");
  CHECK(refusal("[]\n") == "steps: a recipe needs a list of steps");
  CHECK(refusal("- sync\n") == "steps[0]: expected a map, found text");
  CHECK(refusal("- in: guest\n" + quiesce) == "steps[0].name: is missing");
  CHECK(refusal("- {name: A_b, in: guest, quiesce: {command: [x]}}\n") ==
        "steps[0].name: must be lower case letters, digits and \"-\", at most 63");
  CHECK(refusal("- {name: a, in: host, quiesce: {command: [x]}}\n") == "steps[0].in: must be guest or pod or local, not \"host\"");
  CHECK(refusal("- {name: a, quiesce: {command: [x]}}\n") == "steps[0].in: is missing");
  CHECK(refusal(step(quiesce) + step(quiesce)) == "steps[1].name: there is another step of that name");
  CHECK(refusal(step("")) == "steps[0].quiesce: is missing");
  CHECK(refusal(step("  quiesce: {}\n")) == "steps[0].quiesce.command: names no program");
  CHECK(refusal(step("  quiesce: {command: []}\n")) == "steps[0].quiesce.command: names no program");
  CHECK(refusal(step("  quiesce: {command: [\"\"]}\n")) == "steps[0].quiesce.command: names no program");
  CHECK(refusal(step("  quiesce: {command: sync}\n")) == "steps[0].quiesce.command: expected a list, found text");
  CHECK(refusal(step("  quiesce: {command: [sleep, 5]}\n")) ==
        "steps[0].quiesce.command[1]: expected text, found a number: put it in quotes");
  CHECK(refusal(step("  quiesce: {command: [true]}\n")) == "steps[0].quiesce.command[0]: expected text, found a boolean: put it in quotes");
  CHECK(refusal(step("  quiesce: {command: [x], timout: 3s}\n")) == "steps[0].quiesce: unknown field \"timout\", did you mean timeout?");
  CHECK(refusal(step("  quiesce: {command: [x], retries: 3}\n")) == "steps[0].quiesce: unknown field \"retries\"");
  CHECK(refusal(step("  hold: yes please\n" + quiesce)) == "steps[0].hold: expected true or false, found text");
  CHECK(refusal(step("  on-error: ignore\n" + quiesce)) == "steps[0].on-error: must be fail or continue, not \"ignore\"");
  CHECK(refusal(step("  hold: true\n  release: {command: [x]}\n" + quiesce)) ==
        "steps[0].check: is missing: a step with hold is ready when its check passes");
  CHECK(refusal(step("  hold: true\n  check: {command: [x]}\n" + quiesce)) ==
        "steps[0].release: is missing: a step with hold goes on until its release ends it");
  CHECK(refusal(step(quiesce + "  check: {command: [x], retries: -1}\n")) == "steps[0].check.retries: must be 0 to 1000");
  CHECK(refusal(step(quiesce + "  check: {command: [x], retries: lots}\n")) ==
        "steps[0].check.retries: expected a whole number, found text");
  CHECK(refusal(step(quiesce + "  check: {command: [x], interval: 1ms}\n")) == "steps[0].check.interval: must be 100ms to 10m");
}

TEST_CASE("durations have a unit and sense") {
  const auto timeout = [](const std::string& text) { return refusal(step("  quiesce: {command: [x], timeout: " + text + "}\n")); };
  CHECK(timeout("30") == "steps[0].quiesce.timeout: a duration needs a unit, as in 30s");
  CHECK(timeout("\"30\"") == "steps[0].quiesce.timeout: invalid duration \"30\": missing unit");
  CHECK(timeout("0s") == "steps[0].quiesce.timeout: must be 1ms to 1h");
  CHECK(timeout("\"0\"") == "steps[0].quiesce.timeout: must be 1ms to 1h");
  CHECK(timeout("-3s") == "steps[0].quiesce.timeout: must be 1ms to 1h");
  CHECK(timeout("61m") == "steps[0].quiesce.timeout: must be 1ms to 1h");
  CHECK(timeout("true") == "steps[0].quiesce.timeout: expected text, found a boolean: put it in quotes");
}

TEST_CASE("where a step runs decides what it may have") {
  const auto in = [](const std::string& place, const std::string& more) {
    return refusal("- {name: a, in: " + place + ", " + more + "}\n");
  };
  CHECK(in("guest", "pod: {name: x}, quiesce: {command: [x]}") == "steps[0].pod: is for steps with \"in: pod\"");
  CHECK(in("pod", "quiesce: {command: [x]}") == "steps[0].pod: is missing: say which, by name or selector");
  CHECK(in("pod", "pod: {container: c}, quiesce: {command: [x]}") == "steps[0].pod: needs either a name or a selector");
  CHECK(in("pod", "pod: {name: x, selector: a=b}, quiesce: {command: [x]}") == "steps[0].pod: needs either a name or a selector");
  CHECK(in("pod", "pod: {name: ../x}, quiesce: {command: [x]}") == "steps[0].pod.name: is no name of a pod");
  CHECK(in("pod", "pod: {selector: \"a in\"}, quiesce: {command: [x]}").rfind("steps[0].pod.selector: ", 0) == 0);
  CHECK(in("pod", "pod: {name: x}, quiesce: {command: [x], env: {A: b}}") ==
        "steps[0].quiesce.env: a command in a pod has no environment of its own; see stdin-from");
  CHECK(in("local", "quiesce: {command: [x], stdin-from: A}") == "steps[0].quiesce.stdin-from: is not for local steps; see env-from");
  CHECK(in("local", "quiesce: {command: [x], env: {VMBACKUP_VM: b}}") == "steps[0].quiesce.env: names that begin with VMBACKUP_ are ours");
  CHECK(in("local", "quiesce: {command: [x], env: {A: 5}}") == "steps[0].quiesce.env.A: expected text, found a number: put it in quotes");
  CHECK(in("local", "quiesce: {command: [x], env-from: [A=b]}") == "steps[0].quiesce.env-from[0]: \"A=b\" is no name of a variable");
}

TEST_CASE("the document itself") {
  const auto whole = [](const std::string& text) {
    const Result<Recipe> recipe = parse(text);
    return recipe ? std::string("it was taken") : recipe.error().message();
  };
  CHECK(whole("") == "recipe x.yaml: expected a map, found nothing");
  CHECK(whole("apiVersion: vmbackup/v2\nkind: Recipe\nsteps: []\n") ==
        "recipe x.yaml: apiVersion: must be vmbackup/v1, not \"vmbackup/v2\"");
  CHECK(whole("apiVersion: vmbackup/v1\nkind: Receipt\nsteps: []\n") == "recipe x.yaml: kind: must be Recipe, not \"Receipt\"");
  CHECK(whole("apiVersion: vmbackup/v1\nkind: Recipe\nstep: []\n") == "recipe x.yaml: unknown field \"step\", did you mean steps?");
  CHECK(whole("a: [").rfind("recipe x.yaml: invalid YAML", 0) == 0);
  CHECK(whole(k_head + std::string(70'000, '#')).find("65536") != std::string::npos);
  std::string many = k_head;
  for (int i = 0; i < 33; ++i) many += "- {name: s" + std::to_string(i) + ", in: guest, quiesce: {command: [x]}}\n";
  CHECK(whole(many) == "recipe x.yaml: steps: a recipe has at most 32 steps");
}

TEST_CASE("a recipe of the cluster reaches the guest alone, and nothing of the caller's") {
  const RecipeOrigin cluster = RecipeOrigin::cluster;
  CHECK(refusal(step(k_quiesce), cluster) == "it was taken");
  for (const char* place : {"pod", "local"}) {
    CHECK(refusal(std::string("- {name: a, in: ") + place + ", pod: {name: x}, quiesce: {command: [x]}}\n", cluster) ==
          "steps[0].in: a recipe from the cluster may hold steps in the guest alone; give this one with --recipe");
  }
  CHECK(refusal(step("  quiesce: {command: [x], env-from: [AWS_SECRET]}\n"), cluster) ==
        "steps[0].quiesce.env-from: a recipe from the cluster gets nothing of your environment; give this one with --recipe");
  CHECK(refusal(step(std::string(k_quiesce) + "  release: {command: [x], stdin-from: AWS_SECRET}\n"), cluster)
            .rfind("steps[0].release.stdin-from: a recipe from the cluster gets nothing", 0) == 0);
}

TEST_CASE("the recipe that a VM's annotation names") {
  test::FakeClock clock;
  test::FakeCluster cluster(clock);
  for (const json::Value& object : test::manifest_of({.ns = "prod", .name = "db-0"})) cluster.apply(object);
  kubevirt::VirtualMachine vm;
  vm.ns = "prod";
  vm.name = "db-0";
  const auto look = [&] { return kubevirt::recipe_of(cluster, vm, {.deadline = base::Deadline::after(clock, seconds(5))}, {}); };
  CHECK_FALSE(look()->has_value());
  vm.annotations = {{kubevirt::k_recipe_annotation, "mysql"}};
  CHECK(look().error().code() == ErrorCode::not_found);
  const auto put = [&](const std::string& key, const std::string& text) {
    cluster.apply(json::Value::object({{"apiVersion", "v1"},
                                       {"kind", "ConfigMap"},
                                       {"metadata", json::Value::object({{"name", "mysql"}, {"namespace", "prod"}})},
                                       {"data", json::Value::object({{key, text}})}}));
  };
  put("other", "x");
  CHECK(look().error().message() == "the recipe of VM prod/db-0, ConfigMap prod/mysql: it has no key recipe.yaml");
  put("recipe.yaml", k_head + step(k_quiesce));
  REQUIRE(look()->has_value());
  CHECK((*look())->steps.front().name == "a");
  put("recipe.yaml", std::string(k_head) + "- {name: a, in: local, quiesce: {command: [x]}}\n");
  CHECK(look().error().message().rfind("the recipe of VM prod/db-0, ConfigMap prod/mysql: steps[0].in: a recipe from the cluster", 0) == 0);
  vm.annotations = {{kubevirt::k_recipe_annotation, "../secrets/x"}};
  CHECK(look().error().code() == ErrorCode::invalid);
}

}  // namespace
