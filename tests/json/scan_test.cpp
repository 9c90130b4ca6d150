// json::parse, and scan() with the options that YAML uses.
#include "json/scan.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using vmbackup::base::ErrorCode;
using vmbackup::base::Result;
using vmbackup::json::parse;
using vmbackup::json::scan;
using vmbackup::json::Value;

TEST_CASE("parse reads each kind of value") {
  struct Row {
    std::string text;
    Value expected;
    bool integer;
  };
  const Row rows[] = {
      {"null", nullptr, false},
      {" true ", true, false},
      {"\n[\t]\r", Value::array(), false},
      {"{}", Value::object(), false},
      {"0", 0, true},
      {"-1", -1, true},
      {"9223372036854775807", std::numeric_limits<std::int64_t>::max(), true},
      {"-9223372036854775808", std::numeric_limits<std::int64_t>::min(), true},
      {"9223372036854775808", 9223372036854775808.0, false},
      {"-9223372036854775809", -9223372036854775809.0, false},
      {"18446744073709551616", 18446744073709551616.0, false},
      {"1.5", 1.5, false},
      {"-0", 0, true},
      {"0e90", 0.0, false},
      {"-0.0E-7", 0.0, false},
      {"1e-400", 0.0, false},
      {"1.7976931348623157e308", 1.7976931348623157e308, false},
      {"1e3", 1000.0, false},
      {"0.1", 0.1, false},
      {"2.2250738585072011e-308", 2.2250738585072011e-308, false},
      {R"("a\"\\\/\b\f\n\r\tz")", "a\"\\/\b\f\n\r\tz", false},
      {R"("\u00fc\ud83d\ude00")", "\u00fc\U0001F600", false},
      {R"("\u0000")", std::string(1, '\0'), false},
      {R"({"a":[1,{"b":null}],"c":"d"})", Value::object({{"a", Value::array({1, Value::object({{"b", nullptr}})})}, {"c", "d"}}), false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Result<Value> parsed = parse(row.text);
    REQUIRE(parsed.ok());
    CHECK(*parsed == row.expected);
    CHECK(parsed->is_integer() == row.integer);
  }
}

TEST_CASE("parse keeps the order of members; of a repeated one the last wins") {
  CHECK(dump(*parse(R"({"z":1,"a":2,"m":3})")) == R"({"z":1,"a":2,"m":3})");
  CHECK(dump(*parse(R"({"a":1,"b":2,"a":3})")) == R"({"a":3,"b":2})");
}

TEST_CASE("parse refuses what is not JSON, and says where") {
  struct Row {
    std::string text;
    std::string message;
  };
  const Row rows[] = {
      {"", "invalid JSON at byte 0: the document is empty"},
      {"  ", "invalid JSON at byte 2: the document is empty"},
      {"{", "invalid JSON at byte 1: expected a name in quotes"},
      {R"({"a" 1})", "invalid JSON at byte 5: expected a colon after a name"},
      {R"({"a":1,})", "invalid JSON at byte 7: expected a name in quotes"},
      {"[1,]", "invalid JSON at byte 3: expected a value"},
      {"[1 2]", "invalid JSON at byte 3: expected a comma or ]"},
      {"{} {}", "invalid JSON at byte 3: text after the end of the document"},
      {"nul", "invalid JSON at byte 3: expected a value"},
      {"{a:1}", "invalid JSON at byte 1: expected a name in quotes"},
      {"'a'", "invalid JSON at byte 0: expected a value"},
      {"// c\n1", "invalid JSON at byte 0: expected a value"},
      {"NaN", "invalid JSON at byte 0: expected a value"},
      {"01", "invalid JSON at byte 1: text after the end of the document"},
      {"1e999", "invalid JSON at byte 0: a number is too large"},
      {"1.8e308", "invalid JSON at byte 0: a number is too large"},
      {"\"a", "invalid JSON at byte 2: a string does not end"},
      {"\"a\nb\"", "invalid JSON at byte 2: a control character or unknown escape in a string"},
      {R"("\x")", "invalid JSON at byte 1: a control character or unknown escape in a string"},
      {R"("\ud83d")", "invalid JSON at byte 1: an escaped surrogate without its other half"},
      {R"(["a","\ude00"])", "invalid JSON at byte 13: an escaped surrogate without its other half"},
      {"\"\xff\"", "invalid JSON at byte 1: a string is not UTF-8"},
      {"\"\xed\xa0\x80\"", "invalid JSON at byte 1: a string is not UTF-8"},
      {"\"\xc0\x80\"", "invalid JSON at byte 1: a string is not UTF-8"},
      {"\xef\xbb\xbf{}", "invalid JSON at byte 0: expected a value"},
      {std::string("{}\0x", 4), "invalid JSON at byte 2: text after the end of the document"},
      {std::string("\0", 1), "invalid JSON at byte 0: the document is empty"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Result<Value> parsed = parse(row.text);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code() == ErrorCode::invalid);
    CHECK(parsed.error().message() == row.message);
  }
}

TEST_CASE("a byte that is no UTF-8 is refused wherever it stands, and one that is stays as it is") {
  for (std::size_t at = 1; at < 40; ++at) {
    CAPTURE(at);
    std::string text = '"' + std::string(40, 'a') + '"';
    text[at] = '\xff';
    CHECK(parse(text).error().message() == "invalid JSON at byte " + std::to_string(at) + ": a string is not UTF-8");
    text.replace(at, 1, "\u00fc");
    CHECK(parse(text)->as_string() == text.substr(1, text.size() - 2));
  }
}

namespace {

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("parse goes 512 levels deep, and no stack is taken by more") {
  CHECK(parse(nested(512)).ok());
  CHECK(parse(nested(513)).error().message() == "invalid JSON at byte 512: deeper than 512 levels");
  CHECK_FALSE(parse(std::string(2000000, '[')).ok());
  std::string objects;
  for (int i = 0; i < 600; ++i) objects += "{\"a\":";
  CHECK(parse(objects).error().message().find("deeper than 512 levels") != std::string::npos);
}

TEST_CASE("parse refuses what is longer than the limit") {
  CHECK(parse("[1]", 3).ok());
  CHECK(parse("[1] ", 3).error().message() == "invalid JSON: longer than 3 bytes");
}

TEST_CASE("an object with very many members takes no quadratic time") {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += (i > 0 ? ",\"k" : "\"k") + std::to_string(i % 150000) + "\":" + std::to_string(i);
  const Result<Value> parsed = parse(text + "}");
  REQUIRE(parsed.ok());
  CHECK(parsed->members().size() == 150000);
  CHECK(parsed->find("k0")->as_integer() == 150000);
}

TEST_CASE("what is left out is passed over whole, where its parent has the name, and only there") {
  constexpr vmbackup::json::LeftOut k_fields{"metadata", "managedFields"};
  const auto read = [&](const char* text) {
    const Result<Value> value = parse(text, 1000, k_fields);
    return value.ok() ? dump(*value) : value.error().message();
  };
  CHECK(read(R"({"metadata":{"name":"a","managedFields":[{"f:x":{".":{},"l":[1,"s",null]}},{}],"uid":"u"}})") ==
        R"({"metadata":{"name":"a","uid":"u"}})");
  CHECK(read(R"([{"metadata":{"managedFields":"word","n":1}},{"metadata":{"managedFields":{},"n":2}}])") ==
        R"([{"metadata":{"n":1}},{"metadata":{"n":2}}])");
  CHECK(read(R"({"metadata":{"managedFields":7}})") == R"({"metadata":{}})");
  CHECK(read(R"({"managedFields":[1],"labels":{"managedFields":"x"},"metadata":[{"managedFields":1}]})") ==
        R"({"managedFields":[1],"labels":{"managedFields":"x"},"metadata":[{"managedFields":1}]})");
  CHECK(read(R"({"metadata":{"labels":{"managedFields":"x"}}})") == R"({"metadata":{"labels":{"managedFields":"x"}}})");
  // It is JSON all the same.
  CHECK(read(R"({"metadata":{"managedFields":[1,}})") == "invalid JSON at byte 32: expected a value");
  CHECK(parse("{\"metadata\":{\"managedFields\":" + nested(511) + "}}", 5000, k_fields).error().message().find("deeper than 512") !=
        std::string::npos);
  CHECK(parse("{\"metadata\":{\"managedFields\":" + nested(510) + "}}", 5000, k_fields).ok());
}

TEST_CASE("scan can refuse repeated members") {
  CHECK(scan(R"({"a":1,"b":{"a":2}})", {1000, 9, true}).ok());
  CHECK(scan(R"({"a":1,"a":2})", {1000, 9, true}).error().message() == "invalid JSON at byte 12: a member is repeated");
}
