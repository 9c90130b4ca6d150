// Merge patch and JSON patch.
#include <charconv>

#include "base/text.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

json::Value merge_patched(json::Value target, const json::Value& patch) {
  if (!patch.is_object()) return patch;
  if (!target.is_object()) target = json::Value::object();
  for (const json::Member& member : patch.members()) {
    if (member.second.is_null()) {
      target.erase(member.first);
    } else {
      const json::Value* old = target.find(member.first);
      target.set(member.first, merge_patched(old == nullptr ? json::Value() : *old, member.second));
    }
  }
  return target;
}

namespace {

std::vector<std::string> steps_of(const std::string& pointer) {
  std::vector<std::string> steps = base::split(pointer, '/');
  if (!steps.empty()) steps.erase(steps.begin());
  for (std::string& step : steps) {
    for (const auto& [code, text] : {std::pair<const char*, const char*>{"~1", "/"}, {"~0", "~"}}) {
      for (std::size_t at = step.find(code); at != std::string::npos; at = step.find(code, at + 1)) step.replace(at, 2, text);
    }
  }
  return steps;
}

std::optional<std::size_t> index_of(const std::string& step, std::size_t size) {
  if (step == "-") return size;
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), value);
  if (error != std::errc() || end != step.data() + step.size() || value > size) return std::nullopt;
  return value;
}

const json::Value* looked_up(const json::Value& root, const std::vector<std::string>& steps, std::size_t count) {
  const json::Value* value = &root;
  for (std::size_t i = 0; i < count; ++i) {
    if (value->is_array()) {
      const std::optional<std::size_t> index = index_of(steps[i], value->items().size());
      if (!index || *index >= value->items().size()) return nullptr;
      value = &value->items()[*index];
    } else {
      value = value->find(steps[i]);
      if (value == nullptr) return nullptr;
    }
  }
  return value;
}

// A copy of `root` in which the value at `steps` is added, replaced or (no value) removed. Nothing where that place cannot be.
std::optional<json::Value> placed(const json::Value& root, const std::vector<std::string>& steps, std::size_t depth,
                                  const std::optional<json::Value>& value, bool insert) {
  if (depth == steps.size()) return value ? *value : json::Value();
  const bool last = depth + 1 == steps.size();
  if (root.is_array()) {
    json::Array items = root.items();
    const std::optional<std::size_t> index = index_of(steps[depth], items.size());
    if (!index || (*index == items.size() && !(last && insert))) return std::nullopt;
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(*index);
    if (last && !value) {
      items.erase(items.begin() + at);
    } else if (last && insert) {
      items.insert(items.begin() + at, *value);
    } else {
      std::optional<json::Value> inner = placed(items[*index], steps, depth + 1, value, insert);
      if (!inner) return std::nullopt;
      items[*index] = std::move(*inner);
    }
    return json::Value(std::move(items));
  }
  const json::Value* child = root.find(steps[depth]);
  if (!root.is_object() || (child == nullptr && !(last && insert))) return std::nullopt;
  json::Value copy = root;
  if (last && !value) {
    copy.erase(steps[depth]);
    return copy;
  }
  std::optional<json::Value> inner = placed(child == nullptr ? json::Value() : *child, steps, depth + 1, value, insert);
  if (!inner) return std::nullopt;
  copy.set(steps[depth], std::move(*inner));
  return copy;
}

Answer refused(const std::string& why) {
  return failure(422, "Invalid", "the server rejected our request due to an error in our request",
                 json::Value::object({{"causes", json::Value::array({json::Value::object({{"message", why}})})}}));
}

}  // namespace

std::optional<Answer> apply_json_patch(json::Value& target, const json::Value& patch) {
  for (const json::Value& step : patch.items()) {
    const std::string& op = step.path({"op"}).as_string();
    const std::vector<std::string> path = steps_of(step.path({"path"}).as_string());
    const std::vector<std::string> from = steps_of(step.path({"from"}).as_string());
    const json::Value* given = step.find("value");
    const json::Value* there = looked_up(target, path, path.size());
    if (op == "test") {
      if (there == nullptr || given == nullptr || !(*there == *given)) return refused("test failed: " + step.path({"path"}).as_string());
      continue;
    }
    std::optional<json::Value> value;
    if (op == "move" || op == "copy") {
      const json::Value* source = looked_up(target, from, from.size());
      if (source == nullptr) return refused("no such path: " + step.path({"from"}).as_string());
      value = *source;
      if (op == "move") target = *placed(target, from, 0, std::nullopt, false);
    } else if (given != nullptr) {
      value = *given;
    }
    if (op == "remove") value.reset();
    if (op != "remove" && !value) return refused("no value: " + step.path({"path"}).as_string());
    std::optional<json::Value> result = placed(target, path, 0, value, op != "replace" && op != "remove");
    if (!result) return refused("no such path: " + step.path({"path"}).as_string());
    target = std::move(*result);
  }
  return std::nullopt;
}

}  // namespace vmbackup::test
