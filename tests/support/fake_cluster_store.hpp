// Objects of a FakeCluster: identity, versions, history. Knows nothing of requests, rights or what kinds mean.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "json/value.hpp"
#include "support/fake_cluster_kinds.hpp"

namespace vmbackup::test {

struct StoreChange {
  enum class Type { added, modified, deleted };
  Type type;
  const Kind* kind;
  std::int64_t version;
  json::Value object;    // of a deleted one: its last state, with the version of the deletion
  json::Value previous;  // null for an added one
};
const char* to_string(StoreChange::Type type);  // "ADDED", ...

const std::string& name_of(const json::Value& object);
const std::string& namespace_of(const json::Value& object);
const std::string& uid_of(const json::Value& object);
bool being_deleted(const json::Value& object);
bool has_finalizer(const json::Value& object, std::string_view finalizer);
void add_finalizer(json::Value& object, std::string_view finalizer);
void remove_finalizer(json::Value& object, std::string_view finalizer);
json::Value owner_reference(const Kind& kind, const json::Value& owner);

// Not thread-safe: the world's mutex covers it.
class Store {
 public:
  Store(const base::Clock& clock, unsigned seed);

  // Pointers stay valid until the next change.
  const json::Value* find(const Kind& kind, const std::string& ns, const std::string& name) const;
  std::vector<const json::Value*> list(const Kind& kind, const std::string& ns = {}) const;  // by namespace and name; "": all

  // What create() would store: metadata filled in, no resourceVersion. For dry runs.
  json::Value prepare(const Kind& kind, json::Value object);
  // The name must be free. Returns the stored object.
  json::Value create(const Kind& kind, json::Value object);
  // Replaces the object of that name: identity is kept, generation grows with the spec, nothing changes where nothing differs, and
  // one that is being deleted goes away with its last finalizer. Returns the stored (or last) state.
  json::Value update(const Kind& kind, json::Value object);
  // update() on an edited copy; false where there is no such object.
  bool edit(const Kind& kind, const std::string& ns, const std::string& name, const std::function<void(json::Value&)>& change);
  // Marks for deletion, or removes where no finalizer holds it. Returns the last state.
  json::Value remove(const Kind& kind, const std::string& ns, const std::string& name);
  void erase_now(const Kind& kind, const std::string& ns, const std::string& name);

  std::int64_t version() const { return version_; }
  // Changes after compact(), oldest first.
  const std::deque<StoreChange>& history() const { return history_; }
  // Changes up to this version are forgotten.
  std::int64_t compacted() const { return compacted_; }
  void compact();
  // Called after each change, in the order of registration; may change the store again.
  void listen(std::function<void(const StoreChange&)> listener) { listeners_.push_back(std::move(listener)); }
  std::string new_uid();
  std::string now_text() const;  // RFC 3339, whole seconds, as metav1.Time is written

 private:
  using Key = std::pair<std::string, std::string>;
  void commit(StoreChange::Type type, const Kind& kind, json::Value object, json::Value previous);

  const base::Clock& clock_;
  std::mt19937 random_;
  std::map<const Kind*, std::map<Key, json::Value>> objects_;
  std::deque<StoreChange> history_;
  std::vector<std::function<void(const StoreChange&)>> listeners_;
  std::int64_t version_ = 100;
  std::int64_t compacted_ = 100;
};

}  // namespace vmbackup::test
