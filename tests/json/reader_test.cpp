#include "json/reader.hpp"

#include <doctest/doctest.h>

using vmbackup::base::Error;
using vmbackup::base::ErrorCode;
using vmbackup::json::Reader;
using vmbackup::json::Value;

namespace {

const Value k_vm = Value::object({{"metadata", Value::object({{"name", "db-0"},
                                                              {"labels", Value::object({{"app", "db"}, {"example.org/x", "1"}})},
                                                              {"finalizers", Value::array({"a", "b"})},
                                                              {"deletionTimestamp", nullptr}})},
                                  {"spec", Value::object({{"running", true}, {"count", 3}, {"ratio", 1.5}, {"list", Value::array({1})}})}});

std::string error_of(const Reader& reader) {
  const std::optional<Error> error = reader.error();
  return error ? error->message() : "";
}

}  // namespace

TEST_CASE("a decoder reads its fields in a row and asks once") {
  const Reader reader(k_vm, "VirtualMachine prod/db-0");
  const Reader metadata = reader.member("metadata");
  CHECK(metadata.required_string("name") == "db-0");
  CHECK(metadata.string("none").empty());
  CHECK_FALSE(metadata.optional_string("deletionTimestamp").has_value());
  CHECK(metadata.strings("finalizers") == std::vector<std::string>{"a", "b"});
  CHECK(metadata.strings("none").empty());
  CHECK(metadata.string_map("labels") == std::vector<std::pair<std::string, std::string>>{{"app", "db"}, {"example.org/x", "1"}});
  CHECK(metadata.string_map("none").empty());
  const Reader spec = reader.member("spec");
  CHECK(spec.optional_bool("running") == true);
  CHECK_FALSE(spec.optional_bool("none").has_value());
  CHECK(spec.optional_integer("count") == 3);
  CHECK_FALSE(spec.optional_integer("none").has_value());
  CHECK_FALSE(reader.error().has_value());
}

TEST_CASE("below an absent or null member everything is absent") {
  const Reader reader(k_vm, "vm");
  CHECK(reader.present());
  CHECK(reader.member("metadata").raw().members().size() == 4);
  const Reader below = reader.member("status").member("conditions");
  CHECK_FALSE(below.present());
  CHECK(below.raw().is_null());
  CHECK(below.string("x").empty());
  CHECK_FALSE(reader.member("metadata").member("deletionTimestamp").present());
  int calls = 0;
  below.for_each("items", [&calls](const Reader&) { ++calls; });
  CHECK(calls == 0);
  CHECK_FALSE(reader.error().has_value());
}

TEST_CASE("a failed read names document, path and types") {
  struct Row {
    void (*read)(const Reader&);
    std::string message;
  };
  const Row rows[] = {
      {[](const Reader& r) { (void)r.required_string("apiVersion"); }, "vm a: apiVersion: missing"},
      {[](const Reader& r) { (void)r.member("status").required_string("phase"); }, "vm a: status.phase: missing"},
      {[](const Reader& r) { (void)r.member("metadata").required_string("deletionTimestamp"); },
       "vm a: metadata.deletionTimestamp: missing"},
      {[](const Reader& r) { (void)r.string("spec"); }, "vm a: spec: expected string, found object"},
      {[](const Reader& r) { (void)r.member("spec").required_string("running"); }, "vm a: spec.running: expected string, found boolean"},
      {[](const Reader& r) { (void)r.member("spec").optional_string("list"); }, "vm a: spec.list: expected string, found array"},
      {[](const Reader& r) { (void)r.member("spec").optional_bool("count"); }, "vm a: spec.count: expected boolean, found integer"},
      {[](const Reader& r) { (void)r.member("spec").optional_integer("ratio"); }, "vm a: spec.ratio: expected integer, found number"},
      {[](const Reader& r) { (void)r.member("spec").strings("list"); }, "vm a: spec.list[0]: expected string, found integer"},
      {[](const Reader& r) { (void)r.strings("spec"); }, "vm a: spec: expected array, found object"},
      {[](const Reader& r) { (void)r.member("metadata").string_map("name"); }, "vm a: metadata.name: expected object, found string"},
      {[](const Reader& r) { (void)r.string_map("metadata"); }, "vm a: metadata.labels: expected string, found object"},
      {[](const Reader& r) { (void)r.member("metadata").member("name").member("x"); },
       "vm a: metadata.name: expected object, found string"},
      {[](const Reader& r) { r.for_each("metadata", [](const Reader&) {}); }, "vm a: metadata: expected array, found object"},
      {[](const Reader& r) { (void)r.member("metadata").member("labels").optional_bool("example.org/x"); },
       "vm a: metadata.labels[\"example.org/x\"]: expected boolean, found string"},
  };
  for (const Row& row : rows) {
    const Reader reader(k_vm, "vm a");
    row.read(reader);
    CHECK(error_of(reader) == row.message);
    CHECK(reader.error()->code() == ErrorCode::invalid);
  }
}

TEST_CASE("a document of another type") {
  const Value list = Value::array();
  const Reader reader(list, "vm a");
  CHECK(reader.required_string("name").empty());
  CHECK(error_of(reader) == "vm a: expected object, found array");
  const Value null;
  const Reader nothing(null, "vm a");
  CHECK_FALSE(nothing.present());
  (void)nothing.required_string("name");
  CHECK(error_of(nothing) == "vm a: name: missing");
}

TEST_CASE("the first failure is kept, and every later read gives nothing") {
  const Reader reader(k_vm, "vm");
  const Reader metadata = reader.member("metadata");
  (void)reader.required_string("first");
  (void)reader.required_string("second");
  CHECK(error_of(reader) == "vm: first: missing");
  CHECK(error_of(metadata) == "vm: first: missing");
  CHECK(metadata.required_string("name").empty());
  CHECK(metadata.strings("finalizers").empty());
  CHECK(metadata.string_map("labels").empty());
  CHECK_FALSE(reader.member("spec").optional_bool("running").has_value());
  CHECK_FALSE(reader.member("spec").optional_integer("count").has_value());
  CHECK_FALSE(metadata.present());
  CHECK(metadata.raw().is_null());
}

TEST_CASE("for_each gives a reader per item and ends at the first failure") {
  const Value value =
      Value::object({{"disks", Value::array({Value::object({{"name", "a"}}), Value::object(), Value::object({{"name", "c"}})})}});
  const Reader reader(value, "vm");
  std::vector<std::string> names;
  reader.for_each("disks", [&names](const Reader& disk) { names.push_back(disk.required_string("name")); });
  CHECK(names == std::vector<std::string>{"a", ""});
  CHECK(error_of(reader) == "vm: disks[1].name: missing");
}

TEST_CASE("names of members are untrusted, too") {
  const Value value = Value::object({{"a\x1b[2J", 1}});
  const Reader reader(value, "vm");
  (void)reader.string("a\x1b[2J");
  CHECK(error_of(reader) == "vm: [\"a\\x1b[2J\"]: expected string, found integer");
}
