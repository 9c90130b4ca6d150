// json::dump and dump_pretty.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "json/value.hpp"

using vmbackup::json::dump;
using vmbackup::json::dump_pretty;
using vmbackup::json::parse;
using vmbackup::json::Value;

TEST_CASE("dump writes each kind of value") {
  struct Row {
    Value value;
    std::string expected;
  };
  const Row rows[] = {
      {nullptr, "null"},
      {true, "true"},
      {false, "false"},
      {-7, "-7"},
      {std::numeric_limits<std::int64_t>::min(), "-9223372036854775808"},
      {0.1, "0.1"},
      {2.0, "2.0"},
      {1e22, "1.0e+22"},
      {1.5e-7, "1.5e-07"},
      {-0.0, "-0.0"},
      {std::numeric_limits<double>::infinity(), "null"},
      {std::nan(""), "null"},
      {"", "\"\""},
      {"a\"b\\c/d", R"("a\"b\\c/d")"},
      {"\b\f\n\r\t\x01\x1f", R"("\b\f\n\r\t\u0001\u001f")"},
      {"gr\u00fc\u00df \u6f22 \U0001F600", "\"gr\u00fc\u00df \u6f22 \U0001F600\""},
      {"\x7f\u009b\u202e\U000e0041", R"("\u007f\u009b\u202e\udb40\udc41")"},
      {"a\xff"
       "b",
       "\"a\uFFFD"
       "b\""},
      {Value::array(), "[]"},
      {Value::object(), "{}"},
      {Value::object({{"a", Value::array({1, Value::object({{"b", nullptr}})})}}), R"({"a":[1,{"b":null}]})"},
      {Value::object({{"a\nb", 1}}), R"({"a\nb":1})"},
  };
  for (const Row& row : rows) CHECK(dump(row.value) == row.expected);
}

TEST_CASE("what dump writes reads back the same, of the same type") {
  const Value value = Value::object({{"reals", Value::array({0.1, 2.0, 1e22, 1.7976931348623157e308, 5e-324, -0.0, 1.0 / 3})},
                                     {"integers", Value::array({0, -1, std::numeric_limits<std::int64_t>::max()})},
                                     {"text", "\x01\u202e\U000e0041\"\\\u00fc\U0001F600"},
                                     {"empty", Value::object()}});
  for (const std::string& text : {dump(value), dump_pretty(value)}) {
    const vmbackup::base::Result<Value> back = parse(text);
    REQUIRE(back.ok());
    CHECK(*back == value);
    CHECK(dump(*back) == dump(value));
  }
}

TEST_CASE("dump_pretty indents by two") {
  const Value value = Value::object({{"a", Value::array({1, Value::object({{"b", Value::array()}, {"c", Value::object()}})})}, {"d", "x"}});
  CHECK(dump_pretty(value) ==
        "{\n"
        "  \"a\": [\n"
        "    1,\n"
        "    {\n"
        "      \"b\": [],\n"
        "      \"c\": {}\n"
        "    }\n"
        "  ],\n"
        "  \"d\": \"x\"\n"
        "}");
  CHECK(dump_pretty(Value(1)) == "1");
}
