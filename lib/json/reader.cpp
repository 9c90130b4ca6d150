#include "json/reader.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace vmbackup::json {
namespace {

const Value& shared_null() {
  static const Value null;
  return null;
}

const char* type_name(const Value& value) {
  if (value.is_null()) return "null";
  if (value.is_bool()) return "boolean";
  if (value.is_integer()) return "integer";
  if (value.is_number()) return "number";
  if (value.is_string()) return "string";
  return value.is_array() ? "array" : "object";
}

bool is_plain_name(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::string path_to(const std::string& path, std::string_view key) {
  if (!is_plain_name(key)) return path + "[\"" + base::printable(key, 128) + "\"]";
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

}  // namespace

struct Reader::Root {
  std::string what;
  std::optional<base::Error> error;

  void fail(const std::string& path, const std::string& why) {
    if (error) return;
    error = base::Error(base::ErrorCode::invalid, path.empty() ? why : path + ": " + why).wrap(what);
  }
  void fail_type(const std::string& path, const char* expected, const Value& found) {
    fail(path, std::string("expected ") + expected + ", found " + type_name(found));
  }
};

Reader::Reader(const Value& value, std::string what) : value_(&value), root_(std::make_shared<Root>()) { root_->what = std::move(what); }

Reader::Reader(const Value* value, std::string path, std::shared_ptr<Root> root)
    : value_(value), path_(std::move(path)), root_(std::move(root)) {}

Reader Reader::member(std::string_view key) const {
  const Value* found = nullptr;
  if (present() && !value_->is_object()) {
    root_->fail_type(path_, "object", *value_);
  } else if (present()) {
    found = value_->find(key);
  }
  return {found != nullptr ? found : &shared_null(), path_to(path_, key), root_};
}

bool Reader::present() const { return !root_->error && !value_->is_null(); }

const Value& Reader::raw() const { return present() ? *value_ : shared_null(); }

std::optional<std::string> Reader::optional_string(std::string_view key) const {
  const Reader at = member(key);
  if (!at.present()) return std::nullopt;
  if (at.value_->is_string()) return at.value_->as_string();
  root_->fail_type(at.path_, "string", *at.value_);
  return std::nullopt;
}

std::string Reader::required_string(std::string_view key) const {
  std::optional<std::string> found = optional_string(key);
  if (!found) root_->fail(path_to(path_, key), "missing");
  return std::move(found).value_or("");
}

std::string Reader::string(std::string_view key) const { return optional_string(key).value_or(""); }

std::optional<bool> Reader::optional_bool(std::string_view key) const {
  const Reader at = member(key);
  if (!at.present()) return std::nullopt;
  if (at.value_->is_bool()) return at.value_->as_bool();
  root_->fail_type(at.path_, "boolean", *at.value_);
  return std::nullopt;
}

std::optional<std::int64_t> Reader::optional_integer(std::string_view key) const {
  const Reader at = member(key);
  if (!at.present()) return std::nullopt;
  if (at.value_->is_integer()) return at.value_->as_integer();
  root_->fail_type(at.path_, "integer", *at.value_);
  return std::nullopt;
}

void Reader::for_each(std::string_view key, const std::function<void(const Reader&)>& each) const {
  const Reader at = member(key);
  if (!at.present()) return;
  if (!at.value_->is_array()) return root_->fail_type(at.path_, "array", *at.value_);
  std::size_t index = 0;
  for (const Value& item : at.value_->items()) {
    each(Reader(&item, at.path_ + "[" + std::to_string(index++) + "]", root_));
    if (root_->error) return;
  }
}

std::vector<std::string> Reader::strings(std::string_view key) const {
  std::vector<std::string> found;
  for_each(key, [this, &found](const Reader& item) {
    if (!item.value_->is_string()) return root_->fail_type(item.path_, "string", *item.value_);
    found.push_back(item.value_->as_string());
  });
  if (root_->error) found.clear();
  return found;
}

std::vector<std::pair<std::string, std::string>> Reader::string_map(std::string_view key) const {
  std::vector<std::pair<std::string, std::string>> found;
  const Reader at = member(key);
  if (!at.present()) return found;
  if (!at.value_->is_object()) {
    root_->fail_type(at.path_, "object", *at.value_);
    return found;
  }
  for (const Member& member : at.value_->members()) {
    const std::optional<std::string> text = at.optional_string(member.first);
    if (text) found.emplace_back(member.first, *text);
  }
  if (root_->error) found.clear();
  return found;
}

std::optional<base::Error> Reader::error() const { return root_->error; }

}  // namespace vmbackup::json
