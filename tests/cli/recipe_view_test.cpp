#include "cli/recipe_view.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <set>

#include "json/yaml.hpp"

namespace {

using namespace vmbackup;

// "steps[].quiesce.command" and so on, of a document.
void add_paths(const json::Value& value, const std::string& path, std::set<std::string>& paths) {
  for (const json::Value& item : value.items()) add_paths(item, path + "[]", paths);
  if (value.is_array() && !value.items().empty() && value.items().front().is_object()) paths.insert(path + "[]");
  if (path.size() > 4 && path.substr(path.size() - 4) == ".env") return;
  for (const json::Member& member : value.members()) {
    const std::string below = path.empty() ? member.first : path + "." + member.first;
    if (!member.second.is_array() || !member.second.items().empty()) add_paths(member.second, below, paths);
    if (!member.second.is_array() || !member.second.items().front().is_object()) paths.insert(below);
  }
}

// How the page names it: the commands share their fields.
std::string told_as(std::string path) {
  for (const char* action : {"quiesce", "check", "release"}) {
    for (const char* field : {"command", "env", "env-from", "stdin-from", "timeout"}) {
      if (path == std::string("steps[].") + action + "." + field) return std::string("steps[].*.") + field;
    }
  }
  return path;
}

TEST_CASE("every example of the page is a recipe") {
  REQUIRE(cli::recipe_examples().size() >= 2);
  for (const cli::RecipeExample& example : cli::recipe_examples()) {
    CAPTURE(example.comment);
    const base::Result<backup::Recipe> recipe = backup::read_recipe(example.text, "recipe");
    CHECK_MESSAGE(recipe.ok(), (recipe ? "" : recipe.error().message()));
  }
}

TEST_CASE("the example folder holds the recipe of the page") {
  std::ifstream file(std::string(VMBACKUP_TESTS_DIR) + "/../examples/mysql-recipe/mysql.yaml");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  CHECK(text == cli::recipe_examples().front().text);
}

TEST_CASE("the page explains every field that there is, and no other") {
  // One document with all fields, which the decoder takes; a field that it did not know, it would refuse.
  const char* all = R"(apiVersion: vmbackup/v1
kind: Recipe
steps:
- name: a
  in: guest
  hold: true
  on-error: continue
  quiesce: {command: [x], env: {A: b}, env-from: [C], stdin-from: D, timeout: 1s}
  check: {command: [x], env: {A: b}, env-from: [C], stdin-from: D, timeout: 1s, retries: 1, interval: 1s}
  release: {command: [x], env: {A: b}, env-from: [C], stdin-from: D, timeout: 1s}
- name: b
  in: pod
  pod: {name: p, namespace: web, container: c}
  quiesce: {command: [x]}
- name: c
  in: pod
  pod: {selector: a=b}
  quiesce: {command: [x]}
)";
  const base::Result<backup::Recipe> recipe = backup::read_recipe(all, "recipe");
  REQUIRE_MESSAGE(recipe.ok(), (recipe ? "" : recipe.error().message()));
  std::set<std::string> paths;
  add_paths(*json::parse_yaml(all), "", paths);
  std::set<std::string> used;
  for (const std::string& path : paths) used.insert(told_as(path));
  std::set<std::string> told;
  for (const cli::FieldText& field : cli::recipe_field_texts()) told.insert(field.path);
  CHECK(used == told);
}

// The same of a JSON Schema: properties, items, and what $ref names.
void add_schema_paths(const json::Value& root, const json::Value& schema, const std::string& path, std::set<std::string>& paths) {
  const std::string& reference = schema.path({"$ref"}).as_string();
  if (!reference.empty()) return add_schema_paths(root, root.path({"$defs", reference.substr(8)}), path, paths);
  for (const json::Member& member : schema.path({"properties"}).members()) {
    const std::string below = path.empty() ? member.first : path + "." + member.first;
    const json::Value* items = member.second.find("items");
    const bool steps = items != nullptr && items->find("$ref") != nullptr;
    paths.insert(steps ? below + "[]" : below);
    add_schema_paths(root, steps ? *items : member.second, steps ? below + "[]" : below, paths);
  }
}

TEST_CASE("the published schema has the same fields") {
  std::ifstream file(std::string(VMBACKUP_TESTS_DIR) + "/../packaging/schema/recipe.schema.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const base::Result<json::Value> schema = json::parse(text);
  REQUIRE(schema.ok());
  std::set<std::string> paths;
  add_schema_paths(*schema, *schema, "", paths);
  std::set<std::string> fields;
  for (const std::string& path : paths) fields.insert(told_as(path));
  std::set<std::string> told;
  for (const cli::FieldText& field : cli::recipe_field_texts()) told.insert(field.path);
  CHECK(fields == told);
}

TEST_CASE("what came of the steps") {
  backup::StepReport lock{.name = "lock", .place = "guest", .where = "the guest", .hold = true, .actions = {}};
  lock.actions.push_back({.action = "quiesce", .exit_code = {}, .output_bytes = 0, .tries = 1, .seconds = 0.5, .error = {}});
  lock.actions.push_back({.action = "check", .exit_code = 0, .output_bytes = 2, .tries = 3, .seconds = 1.5, .error = {}});
  lock.actions.push_back({.action = "held", .exit_code = 0, .output_bytes = 2, .tries = 1, .seconds = 0.1, .error = {}});
  lock.actions.push_back({.action = "release",
                          .exit_code = 4,
                          .output_bytes = 7,
                          .tries = 1,
                          .seconds = 0.2,
                          .error = base::Error(base::ErrorCode::precondition, "unlock ended with exit code 4")});
  const backup::StepReport never{.name = "b", .place = "pod", .where = "pod web/x\x1b", .hold = false, .actions = {}};
  CHECK(cli::steps_text({lock, never}) ==
        "recipe step lock, in the guest: ready, held, its release failed\nrecipe step b, in pod web/x\\x1b: not begun\n");
  const json::Value value = cli::steps_value({lock, never});
  CHECK(json::dump(value.items()[0].path({"actions"}).items()[1]) ==
        R"({"action":"check","exitCode":0,"outputBytes":2,"tries":3,"durationSeconds":1.5,"error":null})");
  CHECK(value.items()[0].path({"actions"}).items()[3].path({"error", "code"}).as_string() == "precondition");
  CHECK(value.items()[1].path({"actions"}).items().empty());
}

TEST_CASE("a file that cannot be read, or is none, is wrong usage") {
  const base::Result<backup::Recipe> missing = backup::load_recipe("/no/such/file.yaml");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code() == base::ErrorCode::usage);
  CHECK(missing.error().message() == "cannot read recipe /no/such/file.yaml: no such file or directory");
  CHECK(backup::read_recipe("kind: Recipe", "recipe").error().code() == base::ErrorCode::usage);
}

}  // namespace
