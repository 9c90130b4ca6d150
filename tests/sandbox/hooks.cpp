#include "hooks.hpp"

#include <algorithm>
#include <set>

#include "base/text.hpp"

namespace vmbackup::sandbox {

using json::Value;

Hooks::Hooks(test::FakeCluster& cluster) : cluster_(cluster) {}

kube::Resource Hooks::Hook::resource() const { return {kind->group, kind->versions.front(), kind->plural, kind->kind, kind->namespaced}; }

std::optional<std::string> Hooks::add(const Value& rule) {
  Hook hook;
  hook.kind = test::find_kind_by_word(rule.path({"kind"}).as_string());
  hook.name = {rule.path({"namespace"}).as_string(), rule.path({"name"}).as_string()};
  hook.act = rule.path({"do"}).as_string();
  hook.watched = rule.path({"watched"}).as_bool(true);
  if (hook.kind == nullptr) return "no such kind: " + rule.path({"kind"}).as_string();
  if (hook.act != "delete" && hook.act != "delete-now" && hook.act != "recreate") return "do: want delete, delete-now or recreate";
  for (const json::Member& member : rule.path({"when"}).members()) hook.when.emplace_back(member.first, member.second.as_string());
  hooks_.push_back(std::move(hook));
  return std::nullopt;
}

bool Hooks::fits(const Hook& hook, const Value& object) {
  if (!hook.name.ns.empty() && hook.name.ns != object.path({"metadata", "namespace"}).as_string()) return false;
  if (!hook.name.name.empty() && hook.name.name != object.path({"metadata", "name"}).as_string()) return false;
  return std::all_of(hook.when.begin(), hook.when.end(),
                     [&object](const auto& each) { return text_at(object, each.first) == each.second; });
}

void Hooks::check() {
  for (Hook& hook : hooks_) {
    if (hook.done || (hook.watched && !cluster_.watched(hook.resource()))) continue;
    for (const Value& object : cluster_.list_all(hook.resource())) {
      if (!fits(hook, object)) continue;
      hook.done = true;
      act(hook, object);
      break;
    }
  }
}

void Hooks::act(const Hook& hook, const Value& object) {
  const kube::Resource resource = hook.resource();
  const kube::Name name{object.path({"metadata", "namespace"}).as_string(), object.path({"metadata", "name"}).as_string()};
  if (hook.act == "delete") return cluster_.erase(resource, name);
  cluster_.erase_now(resource, name);
  if (hook.act == "delete-now") return;
  Value copy = object;
  copy.erase("status");
  for (const char* key : {"uid", "resourceVersion", "creationTimestamp", "generation", "finalizers", "ownerReferences"})
    copy["metadata"].erase(key);
  cluster_.apply(copy);
}

std::optional<test::Fault> fault_of(const Value& rule, std::string& error) {
  static const std::set<std::string> k_fields = {"action", "method", "path",       "skip",        "times",
                                                 "status", "text",   "retryAfter", "afterEvents", "delay"};
  for (const json::Member& member : rule.members()) {
    if (k_fields.count(member.first) == 0) {
      error = "no such field of a fault: " + member.first;
      return std::nullopt;
    }
  }
  test::Fault fault;
  const std::optional<test::Fault::Action> action = test::fault_action(rule.path({"action"}).as_string());
  if (!action) {
    error = "no such action: \"" + rule.path({"action"}).as_string() + "\"";
    return std::nullopt;
  }
  fault.action = *action;
  fault.method = rule.path({"method"}).as_string();
  fault.path = rule.path({"path"}).as_string();
  fault.text = rule.path({"text"}).as_string();
  fault.skip = static_cast<int>(rule.path({"skip"}).as_integer(fault.skip));
  fault.times = static_cast<int>(rule.path({"times"}).as_integer(fault.times));
  fault.status = static_cast<int>(rule.path({"status"}).as_integer(fault.status));
  fault.retry_after = static_cast<int>(rule.path({"retryAfter"}).as_integer(fault.retry_after));
  fault.after_events = static_cast<int>(rule.path({"afterEvents"}).as_integer(fault.after_events));
  const std::string& delay = rule.path({"delay"}).as_string();
  const base::Result<base::Duration> length = base::parse_duration(delay.empty() ? "0" : delay);
  if (!length) {
    error = length.error().message();
    return std::nullopt;
  }
  fault.delay = *length;
  return fault;
}

std::string text_at(const Value& object, const std::string& path) {
  const std::vector<std::string> steps = base::split(path, '.');
  if (steps.size() == 2 && steps[0] == "condition") {
    for (const Value& item : object.path({"status", "conditions"}).items()) {
      if (item.path({"type"}).as_string() == steps[1]) return item.path({"status"}).as_string();
    }
    return "";
  }
  const Value* value = &object;
  for (const std::string& step : steps) {
    const bool number = value->is_array() && !step.empty() && step.find_first_not_of("0123456789") == std::string::npos;
    if (number) {
      const std::size_t index = std::stoul(step);
      value = index < value->items().size() ? &value->items()[index] : nullptr;
    } else {
      value = value->find(step);
    }
    if (value == nullptr) return "";
  }
  return value->is_string() ? value->as_string() : value->is_null() ? "" : json::dump(*value);
}

}  // namespace vmbackup::sandbox
