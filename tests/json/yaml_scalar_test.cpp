#include "json/yaml_scalar.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using vmbackup::json::plain_scalar;
using vmbackup::json::Value;

TEST_CASE("plain scalars mean what Kubernetes' reader takes them for") {
  struct Row {
    std::string text;
    Value expected;
  };
  const Row rows[] = {
      // null
      {"", nullptr},
      {"~", nullptr},
      {"null", nullptr},
      {"Null", nullptr},
      {"NULL", nullptr},
      {"nULL", "nULL"},
      {"nil", "nil"},
      // booleans
      {"true", true},
      {"True", true},
      {"TRUE", true},
      {"yes", true},
      {"Yes", true},
      {"YES", true},
      {"on", true},
      {"ON", true},
      {"y", true},
      {"Y", true},
      {"false", false},
      {"no", false},
      {"NO", false},
      {"off", false},
      {"Off", false},
      {"n", false},
      {"N", false},
      {"tRUE", "tRUE"},
      {"yEs", "yEs"},
      // integers
      {"0", 0},
      {"7", 7},
      {"-7", -7},
      {"+7", 7},
      {"1_000", 1000},
      {"0x1F", 31},
      {"0X1f", 31},
      {"-0x10", -16},
      {"0o17", 15},
      {"017", 15},
      {"0b101", 5},
      {"-0b101", -5},
      {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
      {"-9223372036854775808", std::numeric_limits<std::int64_t>::min()},
      {"9223372036854775808", 9223372036854775808.0},
      {"0x8000000000000000", 9223372036854775808.0},
      {"-9223372036854775809", -9223372036854775809.0},
      {"99999999999999999999", 1e20},
      // reals
      {"1.5", 1.5},
      {"-1.5", -1.5},
      {"+1.5", 1.5},
      {".5", 0.5},
      {"-.5", -0.5},
      {"5.", 5.0},
      {"1e3", 1000.0},
      {"1E-3", 0.001},
      {"1.5e+3", 1500.0},
      {"08", 8.0},
      {"09.5", 9.5},
      {".inf", std::numeric_limits<double>::infinity()},
      {"-.INF", -std::numeric_limits<double>::infinity()},
      // strings
      {"-", "-"},
      {"+", "+"},
      {".", "."},
      {"..", ".."},
      {"1.2.3", "1.2.3"},
      {"10.0.0.1", "10.0.0.1"},
      {"1e", "1e"},
      {"1e+", "1e+"},
      {"e3", "e3"},
      {"0x", "0x"},
      {"0xg", "0xg"},
      {"0o8", "0o8"},
      {"0b2", "0b2"},
      {"--1", "--1"},
      {"+-1", "+-1"},
      {"1-", "1-"},
      {"_1", "_1"},
      {"1h30m", "1h30m"},
      {"12:30", "12:30"},
      {"2026-01-02", "2026-01-02"},
      {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"},
      {"1e999", "1e999"},
      {"inf", "inf"},
      {"nan", "nan"},
      {"Infinity", "Infinity"},
      {"prod", "prod"},
      {"ok", "ok"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Value value = plain_scalar(row.text);
    CHECK(value == row.expected);
    CHECK(value.is_integer() == row.expected.is_integer());
  }
  CHECK(std::isnan(plain_scalar(".nan").as_number()));
  CHECK(std::isnan(plain_scalar(".NaN").as_number()));
}
