#include "support/fake_cluster_controllers.hpp"

namespace vmbackup::test {

Collector::Collector(World& world) : world_(world), namespaces_(world.timers, [this](const kube::Name& name) { empty_namespace(name); }) {
  world.store.listen([this](const StoreChange& change) {
    const base::Duration soon = world_.options.speed.react;
    const bool orphan = has_finalizer(change.object, "orphan");
    if (change.type == StoreChange::Type::deleted) {
      world_.timers.in(soon, [this, uid = uid_of(change.object)] { collect(uid, false); });
    } else if (being_deleted(change.object) && (orphan || has_finalizer(change.object, "foregroundDeletion"))) {
      const kube::Name name{namespace_of(change.object), name_of(change.object)};
      world_.timers.in(soon, [this, uid = uid_of(change.object), orphan, kind = change.kind, name] {
        collect(uid, orphan);
        finish_foreground(*kind, name);
      });
    }
    if (change.kind == &kind("Namespace") && change.type != StoreChange::Type::deleted && being_deleted(change.object)) {
      namespaces_.add({"", name_of(change.object)}, soon);
    }
  });
}

// Dependents of an owner that is gone (or going, in the foreground) are deleted; with `orphan` they only forget it.
void Collector::collect(const std::string& uid, bool orphan) {
  for (const Kind& kind : all_kinds()) {
    std::vector<json::Value> dependents;
    for (const json::Value* object : world_.store.list(kind)) {
      for (const json::Value& owner : object->path({"metadata", "ownerReferences"}).items()) {
        if (owner.path({"uid"}).as_string() == uid) dependents.push_back(*object);
      }
    }
    for (json::Value& object : dependents) {
      json::Value others = json::Value::array();
      for (const json::Value& owner : object.path({"metadata", "ownerReferences"}).items()) {
        if (owner.path({"uid"}).as_string() != uid) others.push_back(owner);
      }
      if (!orphan && others.items().empty()) {
        world_.store.remove(kind, namespace_of(object), name_of(object));
        continue;
      }
      object["metadata"].set("ownerReferences", others);
      world_.store.update(kind, std::move(object));
    }
  }
}

void Collector::finish_foreground(const Kind& kind, const kube::Name& name) {
  world_.store.edit(kind, name.ns, name.name, [](json::Value& object) {
    remove_finalizer(object, "foregroundDeletion");
    remove_finalizer(object, "orphan");
  });
}

void Collector::empty_namespace(const kube::Name& name) {
  const json::Value* ns = world_.store.find(kind("Namespace"), "", name.name);
  if (ns == nullptr || !being_deleted(*ns)) return;
  bool empty = true;
  for (const Kind& kind : all_kinds()) {
    if (!kind.namespaced) continue;
    std::vector<std::string> names;
    for (const json::Value* object : world_.store.list(kind, name.name)) {
      if (kind.kind != "Event") empty = false;
      if (!being_deleted(*object)) names.push_back(name_of(*object));
    }
    for (const std::string& each : names) world_.store.remove(kind, name.name, each);
  }
  if (!empty) return namespaces_.add(name, std::max<base::Duration>(world_.options.speed.react, std::chrono::milliseconds(20)));
  world_.store.edit(kind("Namespace"), "", name.name, [](json::Value& object) { remove_finalizer(object, "kubernetes"); });
}

}  // namespace vmbackup::test
