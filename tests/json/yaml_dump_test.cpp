// json::dump_yaml.
#include <doctest/doctest.h>

#include "json/yaml.hpp"

using vmbackup::base::Result;
using vmbackup::json::dump_yaml;
using vmbackup::json::Member;
using vmbackup::json::Object;
using vmbackup::json::parse_yaml;
using vmbackup::json::Value;

TEST_CASE("dump_yaml writes block style, keys in their order, lists as kubectl does") {
  const Value value =
      Value::object({{"apiVersion", "v1"},
                     {"list", Value::array({1, "two", Value::object({{"a", 1}, {"b", Value::array({"x"})}}), Value::array({3, 4})})},
                     {"map", Value::object({{"deep", Value::object({{"er", nullptr}})}})},
                     {"emptyList", Value::array()},
                     {"emptyMap", Value::object()},
                     {"script", "#!/bin/sh\necho \"a: b\"\n\n  x\n"}});
  CHECK(dump_yaml(value) ==
        "apiVersion: v1\n"
        "list:\n"
        "- 1\n"
        "- two\n"
        "- a: 1\n"
        "  b:\n"
        "  - x\n"
        "- - 3\n"
        "  - 4\n"
        "map:\n"
        "  deep:\n"
        "    er: null\n"
        "emptyList: []\n"
        "emptyMap: {}\n"
        "script: |\n"
        "  #!/bin/sh\n"
        "  echo \"a: b\"\n"
        "\n"
        "    x\n");
  CHECK(dump_yaml(Value()) == "null\n");
  CHECK(dump_yaml(Value("x")) == "x\n");
  CHECK(dump_yaml(Value::array()) == "[]\n");
}

TEST_CASE("strings are quoted where a reader would take them for something else") {
  struct Row {
    std::string text;
    std::string expected;
  };
  const Row rows[] = {
      {"prod", "prod"},
      {"a b", "a b"},
      {"snapshot.kubevirt.io/v1beta1", "snapshot.kubevirt.io/v1beta1"},
      {"a:b", "a:b"},
      {"a#b", "a#b"},
      {"1h30m", "1h30m"},
      {"gr\u00fc\u00df", "gr\u00fc\u00df"},
      {"", "\"\""},
      {"true", "\"true\""},
      {"yes", "\"yes\""},
      {"n", "\"n\""},
      {"null", "\"null\""},
      {"~", "\"~\""},
      {"7", "\"7\""},
      {"-7", "\"-7\""},
      {"0x1f", "\"0x1f\""},
      {"1e3", "\"1e3\""},
      {"1_000", "\"1_000\""},
      {"12:30", "\"12:30\""},
      {"2026-01-02", "\"2026-01-02\""},
      {"2026-01-02T03:04:05.678Z", "\"2026-01-02T03:04:05.678Z\""},
      {"- a", "\"- a\""},
      {"a: b", "\"a: b\""},
      {"a:", "\"a:\""},
      {"a #b", "\"a #b\""},
      {"#a", "\"#a\""},
      {"*a", "\"*a\""},
      {"&a", "\"&a\""},
      {"!a", "\"!a\""},
      {"|", "\"|\""},
      {"@a", "\"@a\""},
      {"{a}", "\"{a}\""},
      {"'a'", "\"'a'\""},
      {"<<", "\"<<\""},
      {" a", "\" a\""},
      {"a ", "\"a \""},
      {"a\tb", "\"a\\tb\""},
      {"a\x1b", "\"a\\u001b\""},
      {"a\u202e", "\"a\\u202e\""},
      {"\U000e0041", "\"\\U000e0041\""},
      {"a\r\nb", "\"a\\r\\nb\""},
      {"\nb", "\"\\nb\""},
      {" a\nb", "\" a\\nb\""},
  };
  for (const Row& row : rows) {
    CHECK(dump_yaml(Value::array({row.text})) == "- " + std::string(row.expected) + "\n");
    const Result<Value> key = parse_yaml(dump_yaml(Value::object({{row.text, 1}})));
    REQUIRE_MESSAGE(key.ok(), key.error().message());
    CHECK(*key == Value::object({{row.text, 1}}));
  }
}

TEST_CASE("lines at the end of a text block are kept as they are") {
  for (const std::string text :
       {"a\nb", "a\nb\n", "a\nb\n\n", "a\n\n\n", "a\n  \nb", "a\n b\n", "a \nb \n", "a\n---\nb\n", "a\n...\n", "a\n# no comment\n"}) {
    CAPTURE(text);
    const Value value =
        Value::object({{"before", Value::array({text, text})}, {"text", text}, {"after", Value::object({{"deep", text}})}, {"end", 1}});
    const Result<Value> back = parse_yaml(dump_yaml(value));
    REQUIRE_MESSAGE(back.ok(), back.error().message());
    CHECK(*back == value);
  }
  CHECK(dump_yaml(Value::object({{"k", "a\nb"}})) == "k: |-\n  a\n  b\n");
  CHECK(dump_yaml(Value::object({{"k", "a\nb\n\n"}})) == "k: |+\n  a\n  b\n\n");
}

namespace {

// Values of every shape out of one number; small, so that the shapes meet.
Value make(unsigned& state, int depth) {
  const auto pick = [&state](unsigned most) {
    state = state * 1664525U + 1013904223U;
    return (state >> 16) % most;
  };
  static const char* const k_parts[] = {"a", " ", "\n", ":", "#", "- ", "\"", "\\", "'",  "1",  ".",   "\u00fc", "\u202e", "|", "{",
                                        "}", "[", ",",  "?", "!", "%",  "@",  "~",  "\t", "<<", "---", "y",      "e",      "0x"};
  const auto text = [&pick] {
    std::string out;
    for (unsigned i = pick(6); i > 0; --i) out += k_parts[pick(sizeof k_parts / sizeof *k_parts)];
    return out;
  };
  switch (pick(depth > 0 ? 8 : 6)) {
    case 0:
      return nullptr;
    case 1:
      return pick(2) == 0;
    case 2:
      return static_cast<int>(pick(100)) - 50;
    case 3:
      return (static_cast<double>(pick(1000)) - 500) / 8;
    case 4:
    case 5:
      return text();
    case 6: {
      Value list = Value::array();
      for (unsigned i = pick(4); i > 0; --i) list.push_back(make(state, depth - 1));
      return list;
    }
    default: {
      Value map = Value::object();
      for (unsigned i = pick(4); i > 0; --i) map.set(text(), make(state, depth - 1));
      return map;
    }
  }
}

}  // namespace

TEST_CASE("what dump_yaml writes reads back the same") {
  for (unsigned seed = 0; seed < 20000; ++seed) {
    unsigned state = seed;
    const Value value = make(state, 4);
    const std::string text = dump_yaml(value);
    CAPTURE(seed);
    CAPTURE(text);
    const Result<Value> back = parse_yaml(text);
    REQUIRE_MESSAGE(back.ok(), back.error().message());
    REQUIRE(dump(*back) == dump(value));
  }
}

TEST_CASE("a key too long for readers to look ahead") {
  // The last two are long only as they are written: every character an escape.
  for (const std::string& key : {std::string(2000, 'k'), std::string(700, '"'), std::string(300, '\x7f')}) {
    const Value value = Value::object({{key, Value::object({{"a", Value::array({1, "x\ny"})}, {"b", 2}})}, {"c", 3}});
    const Result<Value> back = parse_yaml(dump_yaml(Value::array({value})));
    REQUIRE_MESSAGE(back.ok(), back.error().message());
    CHECK(*back == Value::array({value}));
  }
}
