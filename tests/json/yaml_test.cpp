#include "json/yaml.hpp"

#include <doctest/doctest.h>

using vmbackup::base::ErrorCode;
using vmbackup::base::Result;
using vmbackup::json::parse_yaml;
using vmbackup::json::Value;

TEST_CASE("YAML reads as the JSON that it stands for") {
  struct Row {
    std::string text;
    std::string json;
  };
  const Row rows[] = {
      {"", "null"},
      {"\n# only a comment\n", "null"},
      {"---\n", "null"},
      {"~", "null"},
      {"text", R"("text")"},
      {"a: 1\nb: [x, 'y', \"z\"]\nc:\n- 1\n- d: 2\n  e:\n", R"({"a":1,"b":["x","y","z"],"c":[1,{"d":2,"e":null}]})"},
      {"---\na: 1\n...\n", R"({"a":1})"},
      {"---\na: 1\n...\n...\n", R"({"a":1})"},
      {"--- |\n foo\n", R"("foo\n")"},
      {"|+\n foo\n\n", R"("foo\n\n")"},
      {"a: |-\n  foo", R"({"a":"foo"})"},
      {"a: |\n  foo\n", R"({"a":"foo\n"})"},
      {"a: |+\n  foo\n\n\n", R"({"a":"foo\n\n\n"})"},
      {"a: 'b\n\n  c'\n", R"({"a":"b\nc"})"},
      {"[1,\n2]\n", "[1,2]"},
      {"%YAML 1.1\n---\na: 1\n", R"({"a":1})"},
      {"\xef\xbb\xbf"
       "a: 1\r\nb: 2\r\n",
       R"({"a":1,"b":2})"},
      {"q: 'true'\nr: \"1\"\ns: true\nt: !!str 1\n", R"({"q":"true","r":"1","s":true,"t":"1"})"},
      {"a: !!int 7\nb: !!float 7\nc: !!bool yes\nd: !!null ~\ne: !!map {}\nf: !!seq []\ng: ! 7\n",
       R"({"a":7,"b":7.0,"c":true,"d":null,"e":{},"f":[],"g":"7"})"},
      {"1: a\ntrue: b\n1.5: c\n", R"({"1":"a","true":"b","1.5":"c"})"},
      {"on: push\n", R"({"true":"push"})"},
      {"a: |\n  one\n   two\n\nb: >-\n  one\n  two\n", R"({"a":"one\n two\n","b":"one two"})"},
      {"{a: 1, b: [2]}", R"({"a":1,"b":[2]})"},
      {"z: 1\na: 2\n", R"({"z":1,"a":2})"},
      {"? a\n: 1\n", R"({"a":1})"},
      {"d: 2026-01-02\n", R"({"d":"2026-01-02"})"},
      // JSON, also where it is more than yaml-cpp reads
      {"{\"a\":\t\"\\ud83d\\ude00\\/\",\n\t\"b\": [1]}", "{\"a\":\"\U0001F600/\",\"b\":[1]}"},
      {" [1, 2]\n", "[1,2]"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Result<Value> parsed = parse_yaml(row.text);
    REQUIRE_MESSAGE(parsed.ok(), parsed.error().message());
    CHECK(dump(*parsed) == row.json);
  }
}

TEST_CASE("anchors and merges are expanded") {
  struct Row {
    std::string text;
    std::string json;
  };
  const Row rows[] = {
      {"a: &x {k: 1}\nb: *x\n", R"({"a":{"k":1},"b":{"k":1}})"},
      {"a: &x 7\nb: [*x, *x]\n", R"({"a":7,"b":[7,7]})"},
      {"a: &x 1\nb: &x 2\nc: *x\n", R"({"a":1,"b":2,"c":2})"},
      {"&k key: 1\nb: *k\n", R"({"key":1,"b":"key"})"},
      {"a: &k name\n*k : 1\n", R"({"a":"name","name":1})"},
      {"base: &b {x: 1, z: 2}\nd:\n  <<: *b\n  z: 3\n", R"({"base":{"x":1,"z":2},"d":{"z":3,"x":1}})"},
      {"d:\n  x: 3\n  <<: {x: 1, z: 2}\n", R"({"d":{"x":3,"z":2}})"},
      {"a: &a {x: 1}\nb: &b {x: 2, z: 2}\nd:\n  <<: [*a, *b]\n", R"({"a":{"x":1},"b":{"x":2,"z":2},"d":{"x":1,"z":2}})"},
      {"'<<': 1\n", R"({"<<":1})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Result<Value> parsed = parse_yaml(row.text);
    REQUIRE_MESSAGE(parsed.ok(), parsed.error().message());
    CHECK(dump(*parsed) == row.json);
  }
}

TEST_CASE("what is not YAML is refused, with the line") {
  struct Row {
    std::string text;
    std::string message;  // its start
  };
  const Row rows[] = {
      {"a: 1\nb: [1\n", "invalid YAML at line 3: "},
      {"a: 1\nb: 'x\n", "invalid YAML at line 3: "},
      {"a: 1\nb: 'x\n\n", "invalid YAML at line "},
      {"a: \"x", "invalid YAML at line "},
      {"a: 1\n...\nb: 1\n", "invalid YAML: more than one document"},
      {"a: 1\n b: 2\n", "invalid YAML at line 2: "},
      {"a:\n\tb: 1\n", "invalid YAML at line 2: a tab is used as indentation"},
      {"a: 1\n\tb: 1\n", "invalid YAML at line 2: a tab is used as indentation"},
      {"a: 1\nb: 2\na: 3\n", "invalid YAML at line 3: the key \"a\" is repeated"},
      {"a:\n  b: 1\n  'b': 2\n", "invalid YAML at line 3: the key \"b\" is repeated"},
      {"1: a\n'1': b\n", "invalid YAML at line 2: the key \"1\" is repeated"},
      {"{\"a\":1,\"a\":2}", "invalid YAML at line 1: the key \"a\" is repeated"},
      {"a: 1\n---\nb: 2\n", "invalid YAML: more than one document"},
      {"a: *x\n", "invalid YAML at line 1: "},
      {"a: &x [*x]\n", "invalid YAML at line 1: an alias inside of what it names"},
      {"? [a]\n: 1\n", "invalid YAML at line 1: a key that is no scalar"},
      {"a: &x [1]\n*x : 1\n", "invalid YAML at line 2: a key that is no string"},
      {"~: 1\n", "invalid YAML at line 1: a key that is null"},
      {"<<: 1\n", "invalid YAML at line 1: only maps can be merged by \"<<\""},
      {"a: .inf\n", "invalid YAML at line 1: JSON has no number for .inf"},
      {"a: .nan\n", "invalid YAML at line 1: JSON has no number for .nan"},
      {"a: !!int x\n", "invalid YAML at line 1: the value does not fit its tag tag:yaml.org,2002:int"},
      {"a: !secret x\n", "invalid YAML at line 1: the value does not fit its tag !secret"},
      {"a: !!set {}\n", "invalid YAML at line 1: unknown tag tag:yaml.org,2002:set"},
      {"a: 1\nb: \xff\n", "invalid YAML at line 2: not UTF-8"},
      {"\xff\xfe"
       "a\0",
       "invalid YAML at line 1: not UTF-8"},
      {std::string("a: 1\nb: \0\n", 10), "invalid YAML at line 2: a control character"},
      {"a: \x1b[31m\n", "invalid YAML at line 1: a control character"},
      {"{\"\\", "invalid YAML at line 1: unknown escape character: \\x04"},
      {"a: @x\n", "invalid YAML at line 1: "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Result<Value> parsed = parse_yaml(row.text);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code() == ErrorCode::invalid);
    CAPTURE(parsed.error().message());
    CHECK(parsed.error().message().rfind(row.message, 0) == 0);
  }
}

namespace {

std::string flow(std::size_t depth) { return std::string(depth, '[') + "x" + std::string(depth, ']'); }

std::string block(std::size_t depth) {
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) text += std::string(i, ' ') + "a:\n";
  return text;
}

}  // namespace

TEST_CASE("limits: depth, length, growth") {
  CHECK(parse_yaml(flow(128)).ok());
  CHECK(parse_yaml(flow(129)).error().message() == "invalid YAML at line 1: deeper than 128 levels");
  CHECK_FALSE(parse_yaml(std::string(100000, '[')).ok());
  CHECK(parse_yaml(block(128)).ok());
  CHECK(parse_yaml(block(129)).error().message() == "invalid YAML at line 129: deeper than 128 levels");
  CHECK_FALSE(parse_yaml("{" + std::string(200, ' ') + "\"a\":" + std::string(130, '[') + std::string(130, ']') + "}").ok());
  CHECK(parse_yaml("a: 1", 4).ok());
  CHECK(parse_yaml("a: 12", 4).error().message() == "invalid YAML: longer than 4 bytes");

  // Nine levels of ten aliases each: a billion values.
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string alias = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j > 0 ? ", " : "") + alias;
    bomb += "]\n";
  }
  const Result<Value> exploded = parse_yaml(bomb);
  REQUIRE_FALSE(exploded.ok());
  CHECK(exploded.error().message().find("its aliases grow to more than 10 times the text") != std::string::npos);
}
