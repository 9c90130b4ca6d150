#include "support/fake_cluster_store.hpp"

#include <algorithm>
#include <chrono>

#include "base/text.hpp"

namespace vmbackup::test {

namespace {

constexpr std::size_t k_most_history = 100000;

// Whole seconds: "2026-01-02T03:04:05Z".
std::string second_text(base::WallTime time) {
  std::string text = base::format_time(std::chrono::floor<std::chrono::seconds>(time));
  const std::size_t dot = text.find('.');
  if (dot != std::string::npos) text = text.substr(0, dot) + "Z";
  return text;
}

// What makes metadata.generation grow: everything but metadata and, where there is a status subresource, status.
bool same_spec(const Kind& kind, const json::Value& left, const json::Value& right) {
  json::Value a = left;
  json::Value b = right;
  for (json::Value* value : {&a, &b}) {
    value->erase("metadata");
    if (kind.status_subresource) value->erase("status");
  }
  return a == b;
}

bool same_but_version(json::Value left, json::Value right) {
  left["metadata"].erase("resourceVersion");
  right["metadata"].erase("resourceVersion");
  return left == right;
}

}  // namespace

const char* to_string(StoreChange::Type type) {
  return type == StoreChange::Type::added ? "ADDED" : type == StoreChange::Type::modified ? "MODIFIED" : "DELETED";
}

const std::string& name_of(const json::Value& object) { return object.path({"metadata", "name"}).as_string(); }
const std::string& namespace_of(const json::Value& object) { return object.path({"metadata", "namespace"}).as_string(); }
const std::string& uid_of(const json::Value& object) { return object.path({"metadata", "uid"}).as_string(); }
bool being_deleted(const json::Value& object) { return object.path({"metadata", "deletionTimestamp"}).is_string(); }

bool has_finalizer(const json::Value& object, std::string_view finalizer) {
  const json::Array& all = object.path({"metadata", "finalizers"}).items();
  return std::any_of(all.begin(), all.end(), [&](const json::Value& item) { return item.as_string() == finalizer; });
}

void add_finalizer(json::Value& object, std::string_view finalizer) {
  if (!has_finalizer(object, finalizer)) object["metadata"]["finalizers"].push_back(finalizer);
}

void remove_finalizer(json::Value& object, std::string_view finalizer) {
  json::Value left = json::Value::array();
  for (const json::Value& item : object.path({"metadata", "finalizers"}).items()) {
    if (item.as_string() != finalizer) left.push_back(item);
  }
  if (left.items().empty()) {
    object["metadata"].erase("finalizers");
  } else {
    object["metadata"].set("finalizers", std::move(left));
  }
}

json::Value owner_reference(const Kind& kind, const json::Value& owner) {
  return json::Value::object({{"apiVersion", kind.api_version()},
                              {"blockOwnerDeletion", true},
                              {"controller", true},
                              {"kind", kind.kind},
                              {"name", name_of(owner)},
                              {"uid", uid_of(owner)}});
}

Store::Store(const base::Clock& clock, unsigned seed) : clock_(clock), random_(seed) {}

std::string Store::new_uid() {
  static constexpr char k_digits[] = "0123456789abcdef";
  std::string uid = "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx";
  for (char& c : uid) {
    if (c == 'x') c = k_digits[random_() % 16];
  }
  return uid;
}

std::string Store::now_text() const { return second_text(clock_.wall_now()); }

const json::Value* Store::find(const Kind& kind, const std::string& ns, const std::string& name) const {
  const auto of_kind = objects_.find(&kind);
  if (of_kind == objects_.end()) return nullptr;
  const auto found = of_kind->second.find({kind.namespaced ? ns : "", name});
  return found == of_kind->second.end() ? nullptr : &found->second;
}

std::vector<const json::Value*> Store::list(const Kind& kind, const std::string& ns) const {
  std::vector<const json::Value*> result;
  const auto of_kind = objects_.find(&kind);
  if (of_kind == objects_.end()) return result;
  const bool all = ns.empty() || !kind.namespaced;
  for (auto it = all ? of_kind->second.begin() : of_kind->second.lower_bound({ns, ""}); it != of_kind->second.end(); ++it) {
    if (!all && it->first.first != ns) break;
    result.push_back(&it->second);
  }
  return result;
}

json::Value Store::prepare(const Kind& kind, json::Value object) {
  json::Value meta = object.path({"metadata"});
  if (!meta.is_object()) meta = json::Value::object();
  for (const char* key : {"resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"})
    meta.erase(key);
  if (meta.path({"name"}).as_string().empty()) {
    const std::string prefix = meta.path({"generateName"}).as_string();
    meta.set("name", prefix + new_uid().substr(0, 5));
  }
  if (!kind.namespaced) meta.erase("namespace");
  meta.set("uid", new_uid());
  meta.set("creationTimestamp", now_text());
  if (kind.custom || kind.kind == "Deployment") meta.set("generation", 1);
  // The order of a real server's answers: apiVersion, kind, metadata, then the rest.
  json::Value result =
      json::Value::object({{"apiVersion", object.path({"apiVersion"})}, {"kind", kind.kind}, {"metadata", std::move(meta)}});
  for (const json::Member& member : object.members()) {
    if (result.find(member.first) == nullptr) result.set(member.first, member.second);
  }
  if (result.path({"apiVersion"}).is_null()) result.set("apiVersion", kind.api_version());
  return result;
}

json::Value Store::create(const Kind& kind, json::Value object) {
  json::Value stored = prepare(kind, std::move(object));
  commit(StoreChange::Type::added, kind, stored, json::Value());
  const json::Value* now = find(kind, namespace_of(stored), name_of(stored));
  return now == nullptr ? stored : *now;
}

json::Value Store::update(const Kind& kind, json::Value object) {
  const std::string ns = namespace_of(object);
  const std::string name = name_of(object);
  const json::Value* found = find(kind, ns, name);
  if (found == nullptr) return object;
  const json::Value previous = *found;
  json::Value& meta = object["metadata"];
  for (const char* key : {"uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"}) {
    const json::Value* kept = previous.path({"metadata"}).find(key);
    if (kept == nullptr) {
      meta.erase(key);
    } else {
      meta.set(key, *kept);
    }
  }
  if (same_but_version(object, previous)) return previous;
  if (meta.find("generation") != nullptr && !same_spec(kind, object, previous)) {
    meta.set("generation", previous.path({"metadata", "generation"}).as_integer() + 1);
  }
  const bool gone = being_deleted(object) && object.path({"metadata", "finalizers"}).items().empty();
  commit(gone ? StoreChange::Type::deleted : StoreChange::Type::modified, kind, object, previous);
  const json::Value* now = find(kind, ns, name);
  return now == nullptr ? object : *now;
}

bool Store::edit(const Kind& kind, const std::string& ns, const std::string& name, const std::function<void(json::Value&)>& change) {
  const json::Value* found = find(kind, ns, name);
  if (found == nullptr) return false;
  json::Value object = *found;
  change(object);
  update(kind, std::move(object));
  return true;
}

json::Value Store::remove(const Kind& kind, const std::string& ns, const std::string& name) {
  const json::Value* found = find(kind, ns, name);
  if (found == nullptr) return {};
  json::Value object = *found;
  if (object.path({"metadata", "finalizers"}).items().empty()) {
    commit(StoreChange::Type::deleted, kind, object, object);
    return object;
  }
  if (being_deleted(object)) return object;
  const json::Value previous = object;
  json::Value& meta = object["metadata"];
  meta.set("deletionGracePeriodSeconds", 0);
  meta.set("deletionTimestamp", now_text());
  if (meta.find("generation") != nullptr) meta.set("generation", meta.path({"generation"}).as_integer() + 1);
  commit(StoreChange::Type::modified, kind, object, previous);
  const json::Value* now = find(kind, ns, name);
  return now == nullptr ? object : *now;
}

void Store::erase_now(const Kind& kind, const std::string& ns, const std::string& name) {
  const json::Value* found = find(kind, ns, name);
  if (found == nullptr) return;
  const json::Value object = *found;
  commit(StoreChange::Type::deleted, kind, object, object);
}

void Store::compact() {
  history_.clear();
  compacted_ = version_;
}

void Store::commit(StoreChange::Type type, const Kind& kind, json::Value object, json::Value previous) {
  ++version_;
  object["metadata"].set("resourceVersion", std::to_string(version_));
  const Key key{kind.namespaced ? namespace_of(object) : "", name_of(object)};
  if (type == StoreChange::Type::deleted) {
    objects_[&kind].erase(key);
  } else {
    objects_[&kind][key] = object;
  }
  history_.push_back({type, &kind, version_, std::move(object), std::move(previous)});
  if (history_.size() > k_most_history) {
    compacted_ = history_.front().version;
    history_.pop_front();
  }
  // A copy: a listener may change the store, and with it the history.
  const StoreChange change = history_.back();
  for (const auto& listener : listeners_) listener(change);
}

}  // namespace vmbackup::test
