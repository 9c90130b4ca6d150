#include "base/text.hpp"
#include "support/fake_cluster_controllers.hpp"
#include "support/fake_cluster_guest.hpp"

namespace vmbackup::test {

namespace {

constexpr const char* k_finalizer = "snapshot.kubevirt.io/vmsnapshotcontent-protection";
constexpr base::Duration k_retry = std::chrono::seconds(5);

const Kind& content_kind() { return kind("VirtualMachineSnapshotContent"); }
const Kind& snapshot_kind() { return kind("VirtualMachineSnapshot"); }
const Kind& vs_kind() { return kind("VolumeSnapshot"); }

const json::Value* snapshot_of(const World& world, const json::Value& content) {
  return world.store.find(snapshot_kind(), namespace_of(content), content.path({"spec", "virtualMachineSnapshotName"}).as_string());
}

bool created(const json::Value& content) { return content.path({"status", "creationTime"}).is_string(); }

// What a failed call of a subresource says: the Status' message, or the text.
std::string words_of(const Answer& answer) { return answer.text ? *answer.text : answer.body.path({"message"}).as_string(); }

// The guest can be asked: running, agent connected, not paused. [pkg/storage/snapshot/source.go]
bool reachable(const World& world, const kube::Name& vm) {
  const json::Value* vmi = world.store.find(kind("VirtualMachineInstance"), vm.ns, vm.name);
  return vmi != nullptr && condition(*vmi, "AgentConnected") == "True" && condition(*vmi, "Paused") != "True";
}

}  // namespace

ContentController::ContentController(World& world)
    : world_(world), queue_(world.timers, [this](const kube::Name& name) { reconcile(name); }) {
  world.store.listen([this](const StoreChange& change) {
    const base::Duration soon = world_.options.speed.react;
    const std::string& ns = namespace_of(change.object);
    if (change.kind == &content_kind()) {
      if (change.type == StoreChange::Type::deleted) {
        asking_.erase(uid_of(change.object));
      } else {
        queue_.add({ns, name_of(change.object)}, soon);
      }
    }
    if (change.kind == &snapshot_kind()) queue_.add({ns, content_name(change.object)}, soon);
    if (change.kind != &vs_kind()) return;
    for (const json::Value& owner : change.object.path({"metadata", "ownerReferences"}).items()) {
      if (owner.path({"kind"}).as_string() == content_kind().kind) queue_.add({ns, owner.path({"name"}).as_string()}, soon);
    }
  });
}

void ContentController::reconcile(const kube::Name& name) {
  const json::Value* found = world_.store.find(content_kind(), name.ns, name.name);
  if (found == nullptr) return;
  const json::Value content = *found;
  if (asking_[uid_of(content)].busy) return;
  const json::Value* snapshot = snapshot_of(world_, content);
  const bool over = snapshot == nullptr || being_deleted(*snapshot) || being_deleted(content) ||
                    snapshot->path({"status", "phase"}).as_string() == "Failed" ||
                    (!created(content) && deadline_passed(world_, *snapshot));
  if (over) return let_go(name, content);
  if (world_.clock.now() < asking_[uid_of(content)].rests_until) return;
  if (!created(content)) {
    bool missing = false;
    for (const json::Value& backup : content.path({"spec", "volumeBackups"}).items()) {
      missing = missing || world_.store.find(vs_kind(), name.ns, backup.path({"volumeSnapshotName"}).as_string()) == nullptr;
    }
    if (missing && !asking_[uid_of(content)].frozen) return freeze(name, content, *snapshot);
    if (missing) make_snapshots(content);
  }
  update_status(name);
}

void ContentController::freeze(const kube::Name& name, const json::Value& content, const json::Value& snapshot) {
  const std::string uid = uid_of(content);
  const kube::Name vm{name.ns, source_name(snapshot)};
  const json::Value* vmi = world_.store.find(kind("VirtualMachineInstance"), vm.ns, vm.name);
  // The status is up to 5 s old: that is KubeVirt's hole, kept here.
  if (!reachable(world_, vm) || vmi->path({"status", "fsFreezeStatus"}).as_string() == "frozen") {
    asking_[uid].frozen = true;
    return queue_.add(name, base::Duration::zero());
  }
  asking_[uid].busy = true;
  const auto reply = [this, name, uid, vm](const Answer& answer) {
    asking_[uid].busy = false;
    asking_[uid].frozen = answer.ok();
    if (answer.ok()) return queue_.add(name, base::Duration::zero());
    world_.store.edit(content_kind(), name.ns, name.name, [&](json::Value& object) {
      const std::string words = (world_.at_least(8) ? "" : "Failed freezing vm " + vm.name + ": ") + words_of(answer);
      object["status"].set("error", json::Value::object({{"message", words}, {"time", world_.store.now_text()}}));
      object["status"].set("readyToUse", false);
    });
    try_again(name, uid, k_retry);
  };
  world_.guests->freeze(vm, failure_deadline(snapshot).value_or(base::Duration::zero()), reply);
}

// Until then nothing is done about a content that is still wanted.
void ContentController::try_again(const kube::Name& name, const std::string& uid, base::Duration pause) {
  asking_[uid].rests_until = world_.clock.now() + pause;
  world_.timers.in(pause, [this, name] { queue_.add(name, base::Duration::zero()); });
}

void ContentController::make_snapshots(const json::Value& content) {
  const std::string ns = namespace_of(content);
  const json::Value& vm = content.path({"spec", "source", "virtualMachine"});
  for (const json::Value& backup : content.path({"spec", "volumeBackups"}).items()) {
    const std::string& name = backup.path({"volumeSnapshotName"}).as_string();
    if (world_.store.find(vs_kind(), ns, name) != nullptr) continue;
    const ClassChoice choice = snapshot_class_of(world_, backup.path({"persistentVolumeClaim"}));
    json::Value vs = json::Value::object();
    vs["metadata"].set("name", name);
    vs["metadata"].set("namespace", ns);
    vs["metadata"].set("labels", json::Value::object({{"snapshot.kubevirt.io/source-vm-name", name_of(vm)},
                                                      {"snapshot.kubevirt.io/source-vm-namespace", ns}}));
    vs["metadata"].set("ownerReferences", json::Value::array({owner_reference(content_kind(), content)}));
    vs.set("spec", json::Value::object({{"source", json::Value::object({{"persistentVolumeClaimName",
                                                                         backup.path({"persistentVolumeClaim", "metadata", "name"})}})},
                                        {"volumeSnapshotClassName", choice.name}}));
    world_.store.create(vs_kind(), vs);
    world_.tell(content_kind(), content, "Normal", "SuccessfulVolumeSnapshotCreate", "Successfully created VolumeSnapshot " + name);
  }
}

void ContentController::update_status(const kube::Name& name) {
  const json::Value* found = world_.store.find(content_kind(), name.ns, name.name);
  if (found == nullptr) return;
  const json::Value content = *found;
  json::Value statuses = json::Value::array();
  std::string error;
  std::vector<std::string> lost;
  bool all_cut = true;
  bool all_ready = true;
  for (const json::Value& backup : content.path({"spec", "volumeBackups"}).items()) {
    const std::string& vs_name = backup.path({"volumeSnapshotName"}).as_string();
    const json::Value* vs = world_.store.find(vs_kind(), name.ns, vs_name);
    if (vs == nullptr) {
      if (created(content)) lost.push_back(vs_name);
      all_cut = all_ready = false;
      continue;
    }
    json::Value status = json::Value::object({{"volumeSnapshotName", vs_name}});
    for (const char* key : {"creationTime", "error", "readyToUse"}) {
      if (!vs->path({"status", key}).is_null()) status.set(key, vs->path({"status", key}));
    }
    all_cut = all_cut && vs->path({"status", "creationTime"}).is_string();
    all_ready = all_ready && vs->path({"status", "readyToUse"}).as_bool();
    const std::string& message = vs->path({"status", "error", "message"}).as_string();
    if (!message.empty() && error.empty()) error = "VolumeSnapshot " + vs_name + " error: " + message;
    statuses.push_back(std::move(status));
  }
  if (!lost.empty()) error = "VolumeSnapshots (" + base::join(lost, ",") + ") missing";
  for (const std::string& each : lost) {
    if (content.path({"status", "readyToUse"}).as_bool())
      world_.tell(content_kind(), content, "Warning", "VolumeSnapshotMissing", "VolumeSnapshot " + each + " no longer exists");
  }
  // The last cut is told together with the creation time: after the guest was let go.
  if (all_cut && !created(content) && !asking_[uid_of(content)].thawed) return thaw(name, content);
  world_.store.edit(content_kind(), name.ns, name.name, [&](json::Value& object) {
    json::Value& status = object["status"];
    if (all_cut && !created(content)) status.set("creationTime", world_.store.now_text());
    if (error.empty()) {
      status.erase("error");
    } else if (!all_ready && status.path({"error", "message"}).as_string() != error) {
      status.set("error", json::Value::object({{"message", error}, {"time", world_.store.now_text()}}));
    }
    status.set("readyToUse", all_ready);
    if (statuses.items().empty()) {
      status.erase("volumeSnapshotStatus");
    } else {
      status.set("volumeSnapshotStatus", statuses);
    }
  });
}

void ContentController::thaw(const kube::Name& name, const json::Value& content) {
  const std::string uid = uid_of(content);
  const json::Value* snapshot = snapshot_of(world_, content);
  const kube::Name vm{name.ns, snapshot == nullptr ? "" : source_name(*snapshot)};
  if (!reachable(world_, vm)) {
    asking_[uid].thawed = true;
    return queue_.add(name, base::Duration::zero());
  }
  asking_[uid].busy = true;
  world_.guests->unfreeze(vm, [this, name, uid](const Answer& answer) {
    asking_[uid].busy = false;
    if (!answer.ok()) return thaw_failed(name, words_of(answer));
    asking_[uid].thawed = true;
    queue_.add(name, base::Duration::zero());
  });
}

// Only the limit of Windows is told and tried again after 5 s (since 1.8); anything else is repeated silently, with growing pauses.
void ContentController::thaw_failed(const kube::Name& name, const std::string& message) {
  const json::Value* content = world_.store.find(content_kind(), name.ns, name.name);
  if (content == nullptr) return;
  const std::string uid = uid_of(*content);
  if (message.find("fsfreeze is limited") == std::string::npos || !world_.at_least(8)) {
    const int doublings = std::min(asking_[uid].thaws_failed++, 12);
    return try_again(name, uid, std::chrono::milliseconds(5) * (1 << doublings));
  }
  world_.store.edit(content_kind(), name.ns, name.name, [&](json::Value& object) {
    object["status"].set("error", json::Value::object({{"message", message}, {"time", world_.store.now_text()}}));
  });
  try_again(name, uid, k_retry);
}

// The snapshot is gone, going, or too late: the guest is told to go on, and whatever it answers, the content may leave.
void ContentController::let_go(const kube::Name& name, const json::Value& content) {
  const std::string uid = uid_of(content);
  const auto leave = [this, name, uid] {
    asking_[uid].thawed = true;
    world_.store.edit(content_kind(), name.ns, name.name, [](json::Value& object) { remove_finalizer(object, k_finalizer); });
  };
  const json::Value* snapshot = snapshot_of(world_, content);
  const kube::Name vm{name.ns, content.path({"spec", "source", "virtualMachine", "metadata", "name"}).as_string()};
  const json::Value* owner = world_.store.find(kind("VirtualMachine"), vm.ns, vm.name);
  const bool locked = snapshot != nullptr && owner != nullptr && locked_by(*owner, name_of(*snapshot));
  if (!locked || asking_[uid].thawed || !reachable(world_, vm)) return leave();
  asking_[uid].busy = true;
  world_.guests->unfreeze(vm, [this, uid, leave](const Answer&) {
    asking_[uid].busy = false;
    leave();
  });
}

}  // namespace vmbackup::test
