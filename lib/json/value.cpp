#include "json/value.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace vmbackup::json {
namespace {

// Most objects are small, and then looking at each pair is far quicker than a table.
constexpr std::size_t k_small = 16;

bool small_and_unique(const Object& members) {
  if (members.size() > k_small) return false;
  for (std::size_t i = 1; i < members.size(); ++i) {
    for (std::size_t before = 0; before < i; ++before) {
      if (members[before].first == members[i].first) return false;
    }
  }
  return true;
}

// Names are unique in an object: the last of equals wins, in the place of the first.
Object with_unique_names(Object members) {
  if (small_and_unique(members)) return members;
  std::unordered_map<std::string_view, std::size_t> places;
  std::vector<std::pair<std::size_t, std::size_t>> repeats;  // place kept, place of the later value
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto [found, added] = places.try_emplace(members[i].first, i);
    if (!added) repeats.emplace_back(found->second, i);
  }
  if (repeats.empty()) return members;
  for (const auto& [kept, later] : repeats) members[kept].second = std::move(members[later].second);
  std::size_t next = 0;  // in `repeats`, whose later places ascend
  std::size_t to = 0;
  for (std::size_t from = 0; from < members.size(); ++from) {
    if (next < repeats.size() && repeats[next].second == from) {
      ++next;
      continue;
    }
    if (to != from) members[to] = std::move(members[from]);
    ++to;
  }
  members.erase(members.begin() + static_cast<std::ptrdiff_t>(to), members.end());
  return members;
}

bool same_members(const Object& left, const Object& right) {
  if (left.size() != right.size()) return false;
  if (std::equal(left.begin(), left.end(), right.begin())) return true;
  const Value* const none = nullptr;
  std::unordered_map<std::string_view, const Value*> by_name;
  for (const Member& member : right) by_name.emplace(member.first, &member.second);
  return std::all_of(left.begin(), left.end(), [&](const Member& member) {
    const auto found = by_name.find(member.first);
    const Value* other = found == by_name.end() ? none : found->second;
    return other != nullptr && *other == member.second;
  });
}

const Value& shared_null() {
  static const Value null;
  return null;
}

}  // namespace

Value::Value() : store_(nullptr) {}
Value::Value(std::nullptr_t) : store_(nullptr) {}
Value::Value(bool value) : store_(value) {}
Value::Value(int value) : store_(std::int64_t{value}) {}
Value::Value(std::int64_t value) : store_(value) {}
Value::Value(double value) : store_(value) {}
Value::Value(const char* value) : store_(std::string(value)) {}
Value::Value(std::string value) : store_(std::move(value)) {}
Value::Value(std::string_view value) : store_(std::string(value)) {}
Value::Value(Array value) : store_(std::move(value)) {}

Value Value::object(std::initializer_list<Member> members) { return object(Object(members)); }

Value Value::object(Object members) {
  Value value;
  value.store_ = with_unique_names(std::move(members));
  return value;
}

Value Value::array(std::initializer_list<Value> items) {
  Value value;
  value.store_ = Array(items);
  return value;
}

bool Value::is_null() const { return std::holds_alternative<std::nullptr_t>(store_); }
bool Value::is_bool() const { return std::holds_alternative<bool>(store_); }
bool Value::is_integer() const { return std::holds_alternative<std::int64_t>(store_); }
bool Value::is_number() const { return is_integer() || std::holds_alternative<double>(store_); }
bool Value::is_string() const { return std::holds_alternative<std::string>(store_); }
bool Value::is_array() const { return std::holds_alternative<Array>(store_); }
bool Value::is_object() const { return std::holds_alternative<Object>(store_); }

bool Value::as_bool(bool fallback) const {
  const bool* value = std::get_if<bool>(&store_);
  return value != nullptr ? *value : fallback;
}

std::int64_t Value::as_integer(std::int64_t fallback) const {
  const std::int64_t* value = std::get_if<std::int64_t>(&store_);
  return value != nullptr ? *value : fallback;
}

double Value::as_number(double fallback) const {
  if (const std::int64_t* value = std::get_if<std::int64_t>(&store_)) return static_cast<double>(*value);
  const double* value = std::get_if<double>(&store_);
  return value != nullptr ? *value : fallback;
}

const std::string& Value::as_string() const {
  static const std::string empty;
  const std::string* value = std::get_if<std::string>(&store_);
  return value != nullptr ? *value : empty;
}

const Array& Value::items() const {
  static const Array empty;
  const Array* value = std::get_if<Array>(&store_);
  return value != nullptr ? *value : empty;
}

Array Value::take_items() {
  Array* value = std::get_if<Array>(&store_);
  return value != nullptr ? std::exchange(*value, {}) : Array();
}

Object Value::take_members() {
  Object* value = std::get_if<Object>(&store_);
  return value != nullptr ? std::exchange(*value, {}) : Object();
}

const Object& Value::members() const {
  static const Object empty;
  const Object* value = std::get_if<Object>(&store_);
  return value != nullptr ? *value : empty;
}

const Value* Value::find(std::string_view key) const {
  for (const Member& member : members()) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

Value* Value::find(std::string_view key) {
  Object* object = std::get_if<Object>(&store_);
  if (object == nullptr) return nullptr;
  for (Member& member : *object) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

const Value& Value::path(std::initializer_list<std::string_view> keys) const {
  const Value* at = this;
  for (const std::string_view key : keys) {
    at = at->find(key);
    if (at == nullptr) return shared_null();
  }
  return *at;
}

Value& Value::set(std::string_view key, Value value) {
  Value& member = (*this)[key];
  member = std::move(value);
  return member;
}

Value& Value::operator[](std::string_view key) {
  if (Value* member = find(key)) return *member;
  if (!is_object()) store_ = Object();
  return std::get<Object>(store_).emplace_back(std::string(key), Value()).second;
}

bool Value::erase(std::string_view key) {
  Object* object = std::get_if<Object>(&store_);
  if (object == nullptr) return false;
  const auto found = std::find_if(object->begin(), object->end(), [key](const Member& member) { return member.first == key; });
  if (found == object->end()) return false;
  object->erase(found);
  return true;
}

void Value::push_back(Value value) {
  if (!is_array()) store_ = Array();
  std::get<Array>(store_).push_back(std::move(value));
}

bool operator==(const Value& left, const Value& right) {
  if (left.is_integer() && right.is_integer()) return left.as_integer() == right.as_integer();
  if (left.is_number() && right.is_number()) return left.as_number() == right.as_number();
  if (left.store_.index() != right.store_.index()) return false;
  if (left.is_object()) return same_members(left.members(), right.members());
  return left.store_ == right.store_;
}

}  // namespace vmbackup::json
