// Typed reads that remember where they are: "status.phase: expected string, found object".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.hpp"

namespace vmbackup::json {

// Looks at a value that outlives it. The first failed read is kept and every later read gives an empty result, so a decoder reads
// all its fields in a row and asks once at the end: `if (auto e = reader.error()) return *e;`. A null member counts as absent.
class Reader {
 public:
  // `what` names the document in errors, for example "VirtualMachine prod/db-0".
  Reader(const Value& value, std::string what);

  // A member as a reader of its own; reading below an absent one gives absent values. Errors land in the root.
  Reader member(std::string_view key) const;
  bool present() const;
  const Value& raw() const;

  // required: absent is an error. optional: absent is empty, another type is an error.
  std::string required_string(std::string_view key) const;
  std::string string(std::string_view key) const;  // absent: ""
  std::optional<std::string> optional_string(std::string_view key) const;
  std::optional<bool> optional_bool(std::string_view key) const;
  std::optional<std::int64_t> optional_integer(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key) const;  // absent: empty
  // Calls `each` with a reader per item; absent: not at all.
  void for_each(std::string_view key, const std::function<void(const Reader&)>& each) const;
  // The members of a string map (labels, annotations), in order; absent: empty.
  std::vector<std::pair<std::string, std::string>> string_map(std::string_view key) const;

  // The first failure below the root, code invalid.
  std::optional<base::Error> error() const;

 private:
  struct Root;
  Reader(const Value* value, std::string path, std::shared_ptr<Root> root);
  const Value* value_;
  std::string path_;
  std::shared_ptr<Root> root_;
};

}  // namespace vmbackup::json
