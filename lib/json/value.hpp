// JSON documents as plain values.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace vmbackup::json {

class Value;
using Array = std::vector<Value>;
// Members keep the order in which they were set or read, so output is stable.
using Member = std::pair<std::string, Value>;
using Object = std::vector<Member>;

// Null, bool, integer, real, string, array or object. A value type with deep copies; not synchronised.
class Value {
 public:
  Value();  // null
  Value(std::nullptr_t);
  Value(bool value);
  Value(int value);
  Value(std::int64_t value);
  Value(double value);
  Value(const char* value);
  Value(std::string value);
  Value(std::string_view value);
  Value(Array value);
  // An object from members: Value::object({{"kind", "Pod"}, {"n", 1}}).
  static Value object(std::initializer_list<Member> members = {});
  static Value object(Object members);
  static Value array(std::initializer_list<Value> items = {});

  bool is_null() const;
  bool is_bool() const;
  bool is_integer() const;
  bool is_number() const;  // integer or real
  bool is_string() const;
  bool is_array() const;
  bool is_object() const;

  // Typed looks that never fail: the fallback stands where the type is another one. (Strict reads: json::Reader.)
  bool as_bool(bool fallback = false) const;
  std::int64_t as_integer(std::int64_t fallback = 0) const;
  double as_number(double fallback = 0) const;
  const std::string& as_string() const;  // empty string where it is none
  const Array& items() const;            // empty where it is no array
  const Object& members() const;         // empty where it is no object
  Array take_items();                    // moves the items out; empty where it is no array
  Object take_members();                 // moves the members out; empty where it is no object

  // Member `key`, or nullptr where there is none or this is no object. Stays valid until the value is changed.
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  // Walks members by name: path({"status", "phase"}). A shared null value where a step is missing.
  const Value& path(std::initializer_list<std::string_view> keys) const;

  // Sets a member (made an object first if it was anything else); replaces one of the same name in its place.
  Value& set(std::string_view key, Value value);
  // The member `key`, made null when absent. This becomes an object if it was anything else.
  Value& operator[](std::string_view key);
  bool erase(std::string_view key);
  void push_back(Value value);  // becomes an array if it was anything else

  // Deep equality; the order of members does not count, 1 equals 1.0.
  friend bool operator==(const Value& left, const Value& right);

 private:
  using Store = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object>;
  Store store_;
};

// A member that a reader has no use for: `member` of every object that is itself called `parent`. Empty names: none.
struct LeftOut {
  std::string_view parent;
  std::string_view member;
};

// Reads one JSON document. invalid: not JSON (with the byte offset), trailing text, deeper than 512 levels, or longer than
// `most_bytes`. A repeated member: the last one wins. Integers beyond 64 bits become reals. Bad UTF-8 is invalid. What is left out is
// checked all the same, but takes no memory.
base::Result<Value> parse(std::string_view text, std::size_t most_bytes = std::size_t{256} << 20, const LeftOut& left_out = {});

// Compact on one line, or indented by two blanks. Non-ASCII stays as it is, control characters are escaped.
std::string dump(const Value& value);
std::string dump_pretty(const Value& value);

}  // namespace vmbackup::json
