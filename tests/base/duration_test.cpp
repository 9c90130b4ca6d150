#include "base/duration.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace vmbackup::base;
using namespace std::chrono_literals;

TEST_CASE("parse_duration reads what Go reads") {
  struct Row {
    std::string text;
    Duration expected;
  };
  const Row rows[] = {
      {"0", 0s},
      {"-0", 0s},
      {"+0", 0s},
      {"0s", 0s},
      {"5s", 5s},
      {"+5m", 5min},
      {"-3ms", -3ms},
      {"1h30m", 90min},
      {"30m1h", 90min},
      {"1.5s", 1500ms},
      {".5s", 500ms},
      {"1.s", 1s},
      {"1ns", 1ns},
      {"11us", 11us},
      {"12\u00b5s", 12us},
      {"13\u03bcs", 13us},
      {"0.000000001s", 1ns},
      {"0.0000000019s", 1ns},
      {"1h15m30.918273645s", 1h + 15min + 30s + 918273645ns},
      {"0.3333333333333333333h", 1199999999999ns},
      {"9223372036854775807ns", Duration::max()},
      {"-9223372036854775808ns", Duration::min()},
      {"2562047h47m16.854775807s", Duration::max()},
      {"00000000000000000000000001s", 1s},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Result<Duration> parsed = parse_duration(row.text);
    REQUIRE(parsed.ok());
    CHECK(parsed->count() == row.expected.count());
  }
}

TEST_CASE("parse_duration refuses all else and says what would be right") {
  struct Row {
    std::string text;
    std::string message;
  };
  const Row rows[] = {
      {"", "invalid duration \"\": it is empty"},
      {"-", "invalid duration \"-\": it is empty"},
      {"300", "invalid duration \"300\": missing unit"},
      {"1h30", "invalid duration \"1h30\": missing unit"},
      {"s", "invalid duration \"s\": expected a number"},
      {".", "invalid duration \".\": expected a number"},
      {".s", "invalid duration \".s\": expected a number"},
      {"five", "invalid duration \"five\": expected a number"},
      {"--5s", "invalid duration \"--5s\": expected a number"},
      {"5s ", "invalid duration \"5s \": unknown unit \"s \""},
      {" 5s", "invalid duration \" 5s\": expected a number"},
      {"3d", "invalid duration \"3d\": unknown unit \"d\""},
      {"5S", "invalid duration \"5S\": unknown unit \"S\""},
      {"9223372036854775808ns", "invalid duration \"9223372036854775808ns\": too long"},
      {"-9223372036854775809ns", "invalid duration \"-9223372036854775809ns\": too long"},
      {"2562047h47m17s", "invalid duration \"2562047h47m17s\": too long"},
      {"99999999999999999999h", "invalid duration \"99999999999999999999h\": too long"},
      {"1h\x1b[31m", "invalid duration \"1h\\x1b[31m\": unknown unit \"h\\x1b[\""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Result<Duration> parsed = parse_duration(row.text);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code() == ErrorCode::invalid);
    CHECK(parsed.error().message() == row.message);
    CHECK_FALSE(parsed.error().hint().empty());
  }
  CHECK(parse_duration("300").error().hint().rfind("did you mean \"300s\"?", 0) == 0);
}

TEST_CASE("format_duration gives the shortest exact form, which reads back") {
  struct Row {
    Duration duration;
    std::string expected;
  };
  const Row rows[] = {
      {0s, "0s"},
      {1ns, "1ns"},
      {1100ns, "1.1\u00b5s"},
      {250ms, "250ms"},
      {2200us, "2.2ms"},
      {1500ms, "1.5s"},
      {90s, "1m30s"},
      {5min, "5m"},
      {90min, "1h30m"},
      {1h, "1h"},
      {1h + 5s, "1h5s"},
      {1min + 1ms, "1m0.001s"},
      {-3ms, "-3ms"},
      {-90s, "-1m30s"},
      {Duration::max(), "2562047h47m16.854775807s"},
      {Duration::min(), "-2562047h47m16.854775808s"},
  };
  for (const Row& row : rows) {
    const std::string text = format_duration(row.duration);
    CHECK(text == row.expected);
    const Result<Duration> back = parse_duration(text);
    REQUIRE(back.ok());
    CHECK(back->count() == row.duration.count());
  }
}

TEST_CASE("to_seconds") {
  CHECK(to_seconds(1500ms) == doctest::Approx(1.5));
  CHECK(to_seconds(-2s) == doctest::Approx(-2));
}
