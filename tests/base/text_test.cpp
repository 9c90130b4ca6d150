#include "base/text.hpp"

#include <doctest/doctest.h>

using namespace vmbackup::base;

TEST_CASE("printable shows what a terminal would obey or hide") {
  struct Row {
    std::string text;
    std::string expected;
  };
  const Row rows[] = {
      {"plain text, 100%", "plain text, 100%"},
      {"gr\u00fc\u00df \u6f22\u5b57 \U0001F600", "gr\u00fc\u00df \u6f22\u5b57 \U0001F600"},
      {"a\nb", "a\\nb"},
      {"a\tb\r", "a\\x09b\\x0d"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"\x1b[31mred\x7f", "\\x1b[31mred\\x7f"},
      {"\u0085\u009b", "\\u0085\\u009b"},
      {"a\u202eb\u2066c\u200fd", "a\\u202eb\\u2066c\\u200fd"},
      {"a\u200bb\u2028c\ufeffd", "a\\u200bb\\u2028c\\ufeffd"},
      {"\U000e0041", "\\U000e0041"},
      {"\xff\xc0\x80", "\\xff\\xc0\\x80"},             // never valid, overlong
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},             // surrogate
      {"\xe6\xbc", "\\xe6\\xbc"},                      // cut off
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},    // beyond U+10FFFF
      {"\xf0\x80\x80\x80x", "\\xf0\\x80\\x80\\x80x"},  // overlong in four
      {"\xe2\x28\xa1", "\\xe2(\\xa1"},                 // goes on with the next character
      {"", ""},
  };
  for (const Row& row : rows) CHECK(printable(row.text) == row.expected);
}

TEST_CASE("printable cuts between characters") {
  CHECK(printable("abcdef", 6) == "abcdef");
  CHECK(printable("abcdefg", 6) == "abcdef...");
  CHECK(printable("ab\u00fccd", 3) == "ab...");
  CHECK(printable("ab\x1b", 5) == "ab...");
  CHECK(printable("x", 0) == "...");
  CHECK(printable(std::string(5000, 'x')).size() == 4099);
}

TEST_CASE("nearest finds a slip of the finger, nothing else") {
  struct Row {
    std::string word;
    std::vector<std::string> candidates;
    std::optional<std::string> expected;
  };
  const Row rows[] = {
      {"snapshto", {"restore", "snapshot"}, "snapshot"},
      {"db-0", {"db-1", "db-2"}, "db-1"},
      {"db-0", {"db-11", "db-2"}, "db-2"},
      {"lst", {"list"}, "list"},
      {"abcdef", {"abcxyz"}, std::nullopt},
      {"ab", {"xy"}, std::nullopt},
      {"ab", {"ax"}, "ax"},
      {"a", {"b"}, std::nullopt},
      {"", {"", "a"}, std::nullopt},
      {"same", {"sane", "same"}, "same"},
      {"x", {}, std::nullopt},
      {"production", {"prod"}, std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.word);
    CHECK(nearest(row.word, row.candidates) == row.expected);
  }
}

TEST_CASE("join and split") {
  CHECK(join({}, ", ").empty());
  CHECK(join({"a"}, ", ") == "a");
  CHECK(join({"a", "", "b"}, ", ") == "a, , b");
  CHECK(split("", ':') == std::vector<std::string>{""});
  CHECK(split("a", ':') == std::vector<std::string>{"a"});
  CHECK(split(":a::b:", ':') == std::vector<std::string>{"", "a", "", "b", ""});
}

TEST_CASE("trim") {
  CHECK(trim(" \t\r\n a b \n") == "a b");
  CHECK(trim(" \n ").empty());
  CHECK(trim("").empty());
  CHECK(trim("a") == "a");
}

TEST_CASE("display_width counts columns") {
  CHECK(display_width("") == 0);
  CHECK(display_width("abc") == 3);
  CHECK(display_width("gr\u00fc\u00df") == 4);
  CHECK(display_width("e\u0301") == 1);
  CHECK(display_width("\u6f22\u5b57") == 4);
  CHECK(display_width("\uff21") == 2);
  CHECK(display_width("\U0001F600") == 2);
  CHECK(display_width("\xff") == 1);
}

TEST_CASE("base64: the vectors of RFC 4648, both ways") {
  struct Row {
    std::string bytes;
    std::string text;
  };
  const Row rows[] = {{"", ""},
                      {"f", "Zg=="},
                      {"fo", "Zm8="},
                      {"foo", "Zm9v"},
                      {"foob", "Zm9vYg=="},
                      {"fooba", "Zm9vYmE="},
                      {"foobar", "Zm9vYmFy"},
                      {std::string("\0\xff\xfe", 3), "AP/+"}};
  for (const Row& row : rows) {
    CHECK(base64_encode(row.bytes) == row.text);
    const Result<std::string> decoded = base64_decode(row.text);
    REQUIRE(decoded.ok());
    CHECK(*decoded == row.bytes);
  }
}

TEST_CASE("base64: every length and byte comes back") {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    bytes += static_cast<char>(i * 7);
    const Result<std::string> decoded = base64_decode(base64_encode(bytes));
    REQUIRE(decoded.ok());
    CHECK(*decoded == bytes);
  }
}

TEST_CASE("base64: line breaks and blanks do not matter, all else does") {
  CHECK(*base64_decode(" Zm9v\r\nYm\tFy\n") == "foobar");
  CHECK(*base64_decode("Zg=\n=") == "f");
  for (const std::string bad : {"Z", "Zg", "Zg=", "Zm8", "Zm8==", "Zm9v=", "=", "====", "Zg==Zg==", "Zm-_", "Zm9v!", "Zm\xff=", "Z==="}) {
    CAPTURE(bad);
    const Result<std::string> decoded = base64_decode(bad);
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().code() == ErrorCode::invalid);
    CHECK(decoded.error().message().rfind("invalid base64: ", 0) == 0);
  }
  // What is refused may be a key: it is not shown.
  CHECK(base64_decode("c2VjcmV0!").error().message() == "invalid base64: a character at offset 8 does not belong there");
}

TEST_CASE("short_hash is FNV-1a and stays what it is") {
  CHECK(short_hash("") == "811c9dc5");
  CHECK(short_hash("a") == "e40c292c");
  CHECK(short_hash("foobar") == "bf9cf968");
}

TEST_CASE("format_time") {
  using namespace std::chrono_literals;
  CHECK(format_time(WallTime(0s)) == "1970-01-01T00:00:00.000Z");
  CHECK(format_time(WallTime(1767323045s + 678ms + 999us)) == "2026-01-02T03:04:05.678Z");
  CHECK(format_time(WallTime(-1ms)) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("parse_time reads RFC 3339 with any fraction and offset") {
  struct Row {
    std::string text;
    std::string expected;
  };
  const Row rows[] = {
      {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"},
      {"2026-01-02t03:04:05z", "2026-01-02T03:04:05.000Z"},
      {"2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.600Z"},
      {"2026-01-02T03:04:05.678901234Z", "2026-01-02T03:04:05.678Z"},
      {"2026-01-02T03:04:05.6789012345678Z", "2026-01-02T03:04:05.678Z"},
      {"2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000Z"},
      {"2026-01-01T23:30:00-01:45", "2026-01-02T01:15:00.000Z"},
      {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"},
      {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"},
      {"1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Result<WallTime> time = parse_time(row.text);
    REQUIRE(time.ok());
    CHECK(format_time(*time) == row.expected);
  }
  CHECK(parse_time("2026-01-02T03:04:05.678901234Z")->time_since_epoch().count() == 1767323045678901234);
}

TEST_CASE("parse_time refuses all else") {
  for (const std::string bad : {"",
                                "now",
                                "2026-01-02",
                                "2026-01-02T03:04:05",
                                "2026-01-02 03:04:05Z",
                                "2026-13-02T03:04:05Z",
                                "2026-02-29T03:04:05Z",
                                "2026-00-02T03:04:05Z",
                                "2026-01-02T24:04:05Z",
                                "2026-01-02T03:60:05Z",
                                "2026-01-02T03:04:61Z",
                                "2026-01-02T03:04:05.Z",
                                "2026-01-02T03:04:05,5Z",
                                "2026-01-02T03:04:05+0200",
                                "2026-01-02T03:04:05+24:00",
                                "2026-01-02T03:04:05Zx",
                                "2026-1-2T3:4:5Z",
                                " 2026-01-02T03:04:05Z",
                                "9999-01-02T03:04:05Z",
                                "0001-01-01T00:00:00Z"}) {
    CAPTURE(bad);
    const Result<WallTime> time = parse_time(bad);
    REQUIRE_FALSE(time.ok());
    CHECK(time.error().code() == ErrorCode::invalid);
    CHECK(time.error().message().find("RFC 3339") != std::string::npos);
  }
}

TEST_CASE("the Date of an HTTP answer") {
  const WallTime time = parse_time("2026-01-02T03:04:05Z").value();
  CHECK(parse_http_time("Fri, 02 Jan 2026 03:04:05 GMT").value() == time);
  CHECK(format_time(parse_http_time("Thu, 31 Dec 2026 23:59:59 GMT").value()) == "2026-12-31T23:59:59.000Z");
  for (const char* text : {"", "now", "Fri, 02 Jan 2026 03:04:05 UTC", "Fri, 02 Foo 2026 03:04:05 GMT", "Fri, 32 Jan 2026 03:04:05 GMT",
                           "Friday, 02-Jan-26 03:04:05 GMT", "Fri  Jan  2 03:04:05 2026", "Fri, 02 Jan 2026 25:04:05 GMT"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(parse_http_time(text).ok());
  }
}
