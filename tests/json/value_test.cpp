#include "json/value.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using vmbackup::json::Array;
using vmbackup::json::Member;
using vmbackup::json::Object;
using vmbackup::json::Value;

TEST_CASE("each type is itself and nothing else") {
  struct Row {
    Value value;
    std::string types;  // those that say yes
  };
  const Row rows[] = {{Value(), "null"},
                      {nullptr, "null"},
                      {true, "bool"},
                      {7, "integer number"},
                      {std::int64_t{7}, "integer number"},
                      {1.5, "number"},
                      {"x", "string"},
                      {std::string("x"), "string"},
                      {std::string_view("x"), "string"},
                      {Array{1}, "array"},
                      {Value::array(), "array"},
                      {Value::object(), "object"}};
  for (const Row& row : rows) {
    std::string types;
    const auto note = [&types](bool is, const char* name) {
      if (is) types += (types.empty() ? "" : " ") + std::string(name);
    };
    note(row.value.is_null(), "null");
    note(row.value.is_bool(), "bool");
    note(row.value.is_integer(), "integer");
    note(row.value.is_number(), "number");
    note(row.value.is_string(), "string");
    note(row.value.is_array(), "array");
    note(row.value.is_object(), "object");
    CHECK(types == row.types);
  }
}

TEST_CASE("typed looks give the value, or the fallback where the type is another one") {
  CHECK(Value(true).as_bool());
  CHECK(Value("true").as_bool(true));
  CHECK_FALSE(Value("true").as_bool());
  CHECK(Value(7).as_integer() == 7);
  CHECK(Value(7.0).as_integer(-1) == -1);
  CHECK(Value("7").as_integer(-1) == -1);
  CHECK(Value(7).as_number() == 7.0);
  CHECK(Value(7.5).as_number() == 7.5);
  CHECK(Value().as_number(2) == 2.0);
  CHECK(Value("x").as_string() == "x");
  CHECK(Value(1).as_string().empty());
  CHECK(Value(1).items().empty());
  CHECK(Value(1).members().empty());
  CHECK(Value::array({1, 2}).items().size() == 2);
}

TEST_CASE("find and path") {
  Value value = Value::object({{"status", Value::object({{"phase", "Ready"}})}, {"n", 1}});
  REQUIRE(value.find("n") != nullptr);
  CHECK(value.find("n")->as_integer() == 1);
  CHECK(value.find("none") == nullptr);
  CHECK(Value(1).find("n") == nullptr);
  CHECK(value.path({"status", "phase"}).as_string() == "Ready");
  CHECK(value.path({"status", "none", "deeper"}).is_null());
  CHECK(value.path({"n", "x"}).is_null());
  CHECK(&value.path({}) == &value);
  *value.find("n") = 2;
  CHECK(value.path({"n"}).as_integer() == 2);
}

TEST_CASE("set replaces in place, adds at the end, makes an object of anything") {
  Value value = Value::object({{"a", 1}, {"b", 2}});
  value.set("a", "new");
  CHECK(value.set("c", 3).as_integer() == 3);
  CHECK(dump(value) == R"({"a":"new","b":2,"c":3})");
  Value text("x");
  text.set("k", nullptr);
  CHECK(dump(text) == R"({"k":null})");
}

TEST_CASE("operator[] makes members on the way") {
  Value value;
  value["metadata"]["labels"]["app"] = "db";
  CHECK(dump(value) == R"({"metadata":{"labels":{"app":"db"}}})");
  value["metadata"] = 1;
  CHECK(dump(value) == R"({"metadata":1})");
  CHECK(value["other"].is_null());
  CHECK(value.members().size() == 2);
}

TEST_CASE("erase and push_back") {
  Value value = Value::object({{"a", 1}, {"b", 2}});
  CHECK(value.erase("a"));
  CHECK_FALSE(value.erase("a"));
  CHECK_FALSE(Value(1).erase("a"));
  CHECK(dump(value) == R"({"b":2})");
  Value list("x");
  list.push_back(1);
  list.push_back(Value::object());
  CHECK(dump(list) == "[1,{}]");
}

TEST_CASE("a copy is deep") {
  Value value = Value::object({{"list", Value::array({1})}});
  Value copy = value;
  copy["list"].push_back(2);
  CHECK(dump(value) == R"({"list":[1]})");
  CHECK(dump(copy) == R"({"list":[1,2]})");
}

TEST_CASE("an object is made with unique names: the last value in the first place") {
  CHECK(dump(Value::object({{"a", 1}, {"b", 2}, {"a", 3}, {"c", 4}, {"a", 5}, {"b", 6}})) == R"({"a":5,"b":6,"c":4})");
}

TEST_CASE("equality is deep, without order of members, and by number") {
  const Value left = Value::object({{"a", 1}, {"b", Value::array({1, "x", nullptr})}});
  CHECK(left == Value::object({{"b", Value::array({1.0, "x", nullptr})}, {"a", 1}}));
  CHECK_FALSE(left == Value::object({{"a", 1}}));
  CHECK_FALSE(left == Value::object({{"a", 1}, {"c", Value::array({1, "x", nullptr})}}));
  CHECK_FALSE(Value::array({1, 2}) == Value::array({2, 1}));
  CHECK(Value(1) == Value(1.0));
  CHECK_FALSE(Value(1) == Value(1.5));
  CHECK_FALSE(Value(1) == Value("1"));
  CHECK_FALSE(Value(1) == Value(true));
  CHECK_FALSE(Value() == Value(false));
  CHECK_FALSE(Value(std::int64_t{9007199254740993}) == Value(std::int64_t{9007199254740992}));
  CHECK(Value() == Value());
}
