#include <algorithm>

#include "base/text.hpp"
#include "support/fake_cluster_controllers.hpp"
#include "support/fake_cluster_guest.hpp"

namespace vmbackup::test {

namespace {

constexpr const char* k_finalizer = "snapshot.kubevirt.io/vmsnapshot-protection";
constexpr const char* k_content_finalizer = "snapshot.kubevirt.io/vmsnapshotcontent-protection";
constexpr const char* k_source_finalizer = "snapshot.kubevirt.io/snapshot-source-protection";
constexpr base::Duration k_retry = std::chrono::seconds(5);

const Kind& vm_kind() { return kind("VirtualMachine"); }
const Kind& vmi_kind() { return kind("VirtualMachineInstance"); }
const Kind& snapshot_kind() { return kind("VirtualMachineSnapshot"); }
const Kind& content_kind() { return kind("VirtualMachineSnapshotContent"); }

const std::string& phase_of(const json::Value& snapshot) { return snapshot.path({"status", "phase"}).as_string(); }
bool ended(const json::Value& snapshot) { return phase_of(snapshot) == "Succeeded" || phase_of(snapshot) == "Failed"; }
bool retains(const json::Value& snapshot) {
  const std::string& policy = snapshot.path({"spec", "deletionPolicy"}).as_string();
  return !policy.empty() && policy != "Delete";
}

const char* message_of(const std::string& indication) {
  if (indication == "Online") return "Snapshot taken while the VM was running. Consistency depends on guest-agent quiescing.";
  if (indication == "GuestAgent") return "Guest agent was active and attempted to quiesce the filesystem for application consistency.";
  if (indication == "NoGuestAgent")
    return "Guest agent was not available. Snapshot is crash-consistent and may not be application-consistent.";
  if (indication == "Paused")
    return "Snapshot taken while the VM was paused. Snapshot is crash-consistent and may not be application-consistent.";
  if (indication == "QuiesceTimeout")
    return "Guest agent quiesced the filesystem, but the freeze window timed out before completion. Snapshot is crash-consistent and may "
           "not be application-consistent.";
  if (indication == "QuiesceFailed")
    return "Guest agent failed to quiesce the filesystem. Snapshot is crash-consistent and may not be application-consistent.";
  if (indication == "PartialSnapshot")
    return "Not all snapshotable volumes were included in the snapshot. Check status.snapshotVolumes for excluded volumes and VM "
           "VolumeSnapshotStatus for details.";
  return "Unknown indication";
}

}  // namespace

std::string source_name(const json::Value& snapshot) { return snapshot.path({"spec", "source", "name"}).as_string(); }
std::string content_name(const json::Value& snapshot) { return "vmsnapshot-content-" + uid_of(snapshot); }

const json::Value* content_of(const World& world, const json::Value& snapshot) {
  return world.store.find(content_kind(), namespace_of(snapshot), content_name(snapshot));
}

std::optional<base::Duration> failure_deadline(const json::Value& snapshot) {
  const json::Value& text = snapshot.path({"spec", "failureDeadline"});
  if (!text.is_string()) return std::chrono::minutes(5);
  const base::Result<base::Duration> value = base::parse_duration(text.as_string());
  return !value || *value == base::Duration::zero() ? std::nullopt : std::optional<base::Duration>(*value);
}

namespace {

// Time left until the deadline; the creation is known to the second only.
std::optional<base::Duration> time_left(const World& world, const json::Value& snapshot) {
  const std::optional<base::Duration> deadline = failure_deadline(snapshot);
  const base::Result<base::WallTime> created = base::parse_time(snapshot.path({"metadata", "creationTimestamp"}).as_string());
  if (!deadline || !created) return std::nullopt;
  return *created + *deadline - world.clock.wall_now();
}

}  // namespace

bool deadline_passed(const World& world, const json::Value& snapshot) {
  const std::optional<base::Duration> left = time_left(world, snapshot);
  return left && *left <= base::Duration::zero();
}

bool locked_by(const json::Value& vm, const std::string& snapshot) {
  return vm.path({"status", "snapshotInProgress"}).as_string() == snapshot && has_finalizer(vm, k_source_finalizer);
}

SnapshotController::SnapshotController(World& world)
    : world_(world), queue_(world.timers, [this](const kube::Name& name) { reconcile(name); }) {
  world.store.listen([this](const StoreChange& change) {
    const std::string& ns = namespace_of(change.object);
    if (change.kind == &snapshot_kind() && change.type != StoreChange::Type::deleted) enqueue({ns, name_of(change.object)});
    if (change.kind == &content_kind()) enqueue({ns, change.object.path({"spec", "virtualMachineSnapshotName"}).as_string()});
    if (change.kind != &vm_kind() && change.kind != &vmi_kind()) return;
    for (const json::Value* snapshot : world_.store.list(snapshot_kind(), ns)) {
      if (source_name(*snapshot) == name_of(change.object) && !ended(*snapshot)) enqueue({ns, name_of(*snapshot)});
    }
  });
}

void SnapshotController::reconcile(const kube::Name& name) {
  const json::Value* found = world_.store.find(snapshot_kind(), name.ns, name.name);
  if (found == nullptr) return;
  const json::Value snapshot = *found;
  if (!snapshot.path({"status", "phase"}).is_string() && !being_deleted(snapshot)) {
    world_.store.edit(snapshot_kind(), name.ns, name.name, [](json::Value& object) { add_finalizer(object, k_finalizer); });
    update_status(name, "Source not locked");
    return;
  }
  if (being_deleted(snapshot)) {
    update_status(name, "Source not locked");
    return finish_deletion(*world_.store.find(snapshot_kind(), name.ns, name.name));
  }
  if (ended(snapshot)) {
    unlock(snapshot);
    if (phase_of(snapshot) == "Failed") drop_content(snapshot);
    return update_status(name, "");
  }
  if (deadline_passed(world_, snapshot)) {
    // First the content, so that the guest is let go while the VM is still locked.
    drop_content(snapshot);
    return update_status(name, "");
  }
  if (const std::optional<base::Duration> left = time_left(world_, snapshot)) queue_.add(name, *left);
  work_on(snapshot);
}

void SnapshotController::work_on(const json::Value& snapshot) {
  const kube::Name name{namespace_of(snapshot), name_of(snapshot)};
  const json::Value* found = world_.store.find(vm_kind(), name.ns, source_name(snapshot));
  if (found == nullptr) {
    update_status(name, "");
    return queue_.add(name, k_retry);
  }
  const json::Value vm = *found;
  std::string why;
  const bool ours = lock(snapshot, vm, why);
  if (ours && content_of(world_, snapshot) == nullptr) make_content(snapshot, vm);
  update_status(name, "Source not locked" + why);
  if (!ours) queue_.add(name, k_retry);
}

namespace {

std::string filler_of(const json::Value& claim) {
  for (const json::Value& owner : claim.path({"metadata", "ownerReferences"}).items()) {
    if (owner.path({"kind"}).as_string() == "DataVolume" && owner.path({"controller"}).as_bool()) return owner.path({"name"}).as_string();
  }
  return "";
}

}  // namespace

std::optional<std::string> SnapshotController::volumes_obstacle(const json::Value& vm) const {
  // It waits, and does not say for what.
  if (needs_state(vm) && state_claim(world_, vm).empty()) return "";
  const std::string prefix = " source " + namespace_of(vm) + "/" + name_of(vm) + " volume ";
  for (const VolumeClaim& each : all_claims(world_, vm)) {
    const json::Value* claim = world_.store.find(kind("PersistentVolumeClaim"), namespace_of(vm), each.claim);
    if (claim == nullptr) return prefix + "doesnt exist: " + each.claim;
    if (being_deleted(*claim)) return prefix + "is being deleted: " + each.claim;
    if (claim->path({"status", "phase"}).as_string() != "Bound") return prefix + "not bound: " + each.claim;
    const std::string filler = filler_of(*claim);
    if (filler.empty()) continue;
    const json::Value* data_volume = world_.store.find(kind("DataVolume"), namespace_of(vm), filler);
    // An error that is only logged: what the snapshot shows stays as it was.
    if (data_volume == nullptr) return "";
    if (data_volume->path({"status", "phase"}).as_string() != "Succeeded") return prefix + "not populated: " + each.claim;
  }
  return std::nullopt;
}

// A stopped VM's claims must not be in use, by an exporter for example.
std::string SnapshotController::pods_obstacle(const json::Value& vm) const {
  if (world_.store.find(vmi_kind(), namespace_of(vm), name_of(vm)) != nullptr) return "";
  int pods = 0;
  std::string names;
  const std::vector<VolumeClaim> claims = all_claims(world_, vm);
  for (const VolumeClaim& each : claims) names += (names.empty() ? "" : " ") + each.claim;
  for (const json::Value* pod : world_.store.list(kind("Pod"), namespace_of(vm))) {
    const std::string& phase = pod->path({"status", "phase"}).as_string();
    bool uses = false;
    for (const json::Value& volume : pod->path({"spec", "volumes"}).items()) {
      const std::string& claim = volume.path({"persistentVolumeClaim", "claimName"}).as_string();
      for (const VolumeClaim& each : claims) uses = uses || claim == each.claim;
    }
    if (uses && phase != "Succeeded") ++pods;
  }
  return pods == 0 ? "" : " source is offline but " + std::to_string(pods) + " pods using PVCs [" + names + "]";
}

bool SnapshotController::lock(const json::Value& snapshot, const json::Value& vm, std::string& why) {
  const std::string& name = name_of(snapshot);
  if (locked_by(vm, name)) return true;
  const std::optional<std::string> obstacle = volumes_obstacle(vm);
  why = obstacle.value_or(pods_obstacle(vm));
  if (obstacle || !why.empty()) return false;
  const std::string& other = vm.path({"status", "snapshotInProgress"}).as_string();
  if (!other.empty() && other != name) {
    why = " snapshot \"" + other + "\" in progress";
    return false;
  }
  world_.store.edit(vm_kind(), namespace_of(vm), name_of(vm),
                    [&](json::Value& object) { object["status"].set("snapshotInProgress", name); });
  world_.store.edit(vm_kind(), namespace_of(vm), name_of(vm), [](json::Value& object) { add_finalizer(object, k_source_finalizer); });
  return true;
}

void SnapshotController::unlock(const json::Value& snapshot) {
  const std::string ns = namespace_of(snapshot);
  const std::string vm = source_name(snapshot);
  const json::Value* found = world_.store.find(vm_kind(), ns, vm);
  if (found == nullptr || found->path({"status", "snapshotInProgress"}).as_string() != name_of(snapshot)) return;
  world_.store.edit(vm_kind(), ns, vm, [](json::Value& object) { remove_finalizer(object, k_source_finalizer); });
  world_.store.edit(vm_kind(), ns, vm, [](json::Value& object) { object["status"].erase("snapshotInProgress"); });
}

// What is stored of the VM: of a running one the definition that runs, with today's volumes and disks.
json::Value SnapshotController::source_of(const json::Value& vm) const {
  json::Value meta = json::Value::object();
  for (const char* key : {"name", "namespace", "labels", "annotations", "uid", "generation", "creationTimestamp", "resourceVersion"}) {
    if (const json::Value* value = vm.path({"metadata"}).find(key)) meta.set(key, *value);
  }
  json::Value spec = vm.path({"spec"});
  const json::Value* vmi = world_.store.find(vmi_kind(), namespace_of(vm), name_of(vm));
  const std::string revision = vmi == nullptr ? "" : vmi->path({"status", "virtualMachineRevisionName"}).as_string();
  if (const json::Value* started = world_.store.find(kind("ControllerRevision"), namespace_of(vm), revision)) {
    json::Value running = started->path({"data", "spec"});
    running["template"]["spec"].set("volumes", vm.path({"spec", "template", "spec", "volumes"}));
    running["template"]["spec"]["domain"]["devices"].set("disks", vm.path({"spec", "template", "spec", "domain", "devices", "disks"}));
    if (const json::Value* pattern = spec.find("dataVolumeTemplates")) running.set("dataVolumeTemplates", *pattern);
    spec = std::move(running);
  }
  return json::Value::object({{"metadata", std::move(meta)}, {"spec", std::move(spec)}, {"status", json::Value::object()}});
}

void SnapshotController::make_content(const json::Value& snapshot, const json::Value& vm) {
  const std::string ns = namespace_of(snapshot);
  json::Value backups = json::Value::array();
  for (const VolumeClaim& each : all_claims(world_, vm)) {
    const json::Value* claim = world_.store.find(kind("PersistentVolumeClaim"), ns, each.claim);
    const ClassChoice choice = snapshot_class_of(world_, *claim);
    // Only logged, never told: the snapshot waits for its deadline.
    if (!choice.error.empty()) return queue_.add({ns, name_of(snapshot)}, k_retry);
    if (choice.name.empty()) continue;
    json::Value meta = claim->path({"metadata"});
    json::Value copy = json::Value::object({{"metadata", meta}, {"spec", claim->path({"spec"})}});
    backups.push_back(json::Value::object({{"persistentVolumeClaim", copy},
                                           {"volumeName", each.volume},
                                           {"volumeSnapshotName", "vmsnapshot-" + uid_of(snapshot) + "-volume-" + each.volume}}));
  }
  json::Value content = json::Value::object();
  content["metadata"].set("name", content_name(snapshot));
  content["metadata"].set("namespace", ns);
  content["metadata"].set("finalizers", json::Value::array({k_content_finalizer}));
  content["spec"].set("source", json::Value::object({{"virtualMachine", source_of(vm)}}));
  content["spec"].set("virtualMachineSnapshotName", name_of(snapshot));
  content["spec"].set("volumeBackups", backups);
  world_.store.create(content_kind(), content);
  world_.tell(snapshot_kind(), snapshot, "Normal", "SuccessfulVirtualMachineSnapshotContentCreate",
              "Successfully created VirtualMachineSnapshotContent " + content_name(snapshot));
}

// True when there is nothing left to wait for.
bool SnapshotController::drop_content(const json::Value& snapshot) {
  const json::Value* content = content_of(world_, snapshot);
  if (content == nullptr) return true;
  const bool keep = retains(snapshot) && content->path({"status", "readyToUse"}).as_bool();
  if (keep) return true;
  if (!being_deleted(*content)) world_.store.remove(content_kind(), namespace_of(snapshot), content_name(snapshot));
  return content_of(world_, snapshot) == nullptr;
}

void SnapshotController::finish_deletion(const json::Value& snapshot) {
  // One in progress holds its VM until the content is gone; an ended one waits for nothing.
  const bool gone = drop_content(snapshot);
  if (!gone && !ended(snapshot)) return queue_.add({namespace_of(snapshot), name_of(snapshot)}, k_retry);
  unlock(snapshot);
  world_.store.edit(snapshot_kind(), namespace_of(snapshot), name_of(snapshot),
                    [](json::Value& object) { remove_finalizer(object, k_finalizer); });
}

// ---- status ----

void SnapshotController::add_indication(json::Value& status, const std::string& word, bool last) const {
  std::vector<std::string> words;
  for (const json::Value& each : status.path({"indications"}).items()) words.push_back(each.as_string());
  if (std::find(words.begin(), words.end(), word) != words.end()) return;
  words.push_back(word);
  if (!last) std::sort(words.begin(), words.end());
  json::Value plain = json::Value::array();
  json::Value explained = json::Value::array();
  for (const std::string& each : words) {
    plain.push_back(each);
    explained.push_back(json::Value::object({{"indication", each}, {"message", message_of(each)}}));
  }
  status.set("indications", plain);
  if (world_.at_least(7)) status.set("sourceIndications", explained);
}

void SnapshotController::set_indications(json::Value& status, const json::Value& snapshot) const {
  const json::Value* vmi = world_.store.find(vmi_kind(), namespace_of(snapshot), source_name(snapshot));
  if (vmi == nullptr) {
    status.erase("indications");
    status.erase("sourceIndications");
    return;
  }
  add_indication(status, "Online");
  if (condition(*vmi, "Paused") == "True") return add_indication(status, "Paused");
  add_indication(status, condition(*vmi, "AgentConnected") == "True" ? "GuestAgent" : "NoGuestAgent");
  if (condition(*vmi, "AgentConnected") != "True") return;
  const std::string& error = status.path({"error", "message"}).as_string();
  if (world_.at_least(8) && error.find("fsfreeze is limited") != std::string::npos) add_indication(status, "QuiesceTimeout");
  if (!world_.at_least(8) && error.find("Failed freezing vm") != std::string::npos) add_indication(status, "QuiesceFailed");
}

void SnapshotController::set_volumes(json::Value& status, const json::Value& content) const {
  json::Value included = json::Value::array();
  json::Value excluded = json::Value::array();
  bool partial = false;
  const json::Value& vm = content.path({"spec", "source", "virtualMachine"});
  json::Value volumes = vm.path({"spec", "template", "spec", "volumes"});
  if (needs_state(vm)) {
    volumes.push_back(json::Value::object({{"name", state_volume(vm)}, {"persistentVolumeClaim", json::Value::object()}}));
  }
  for (const json::Value& volume : volumes.items()) {
    bool inside = false;
    for (const json::Value& backup : content.path({"spec", "volumeBackups"}).items()) {
      inside = inside || backup.path({"volumeName"}) == volume.path({"name"});
    }
    (inside ? included : excluded).push_back(volume.path({"name"}));
    const bool counts =
        volume.find("persistentVolumeClaim") != nullptr || volume.find("dataVolume") != nullptr || volume.find("memoryDump") != nullptr;
    partial = partial || (!inside && counts);
  }
  json::Value lists = json::Value::object();
  if (!included.items().empty()) lists.set("includedVolumes", included);
  if (!excluded.items().empty()) lists.set("excludedVolumes", excluded);
  status.set("snapshotVolumes", lists);
  if (partial && world_.at_least(9)) add_indication(status, "PartialSnapshot", true);
}

void SnapshotController::update_status(const kube::Name& name, const std::string& why_not_locked) {
  world_.store.edit(snapshot_kind(), name.ns, name.name, [&](json::Value& object) {
    json::Value status = object.path({"status"}).is_object() ? object.path({"status"}) : json::Value::object({{"readyToUse", false}});
    const json::Value* vm = world_.store.find(vm_kind(), name.ns, source_name(object));
    if (vm != nullptr) status.set("sourceUID", uid_of(*vm));
    const json::Value* content = content_of(world_, object);
    if (content != nullptr && content->path({"status"}).is_object()) {
      status.set("virtualMachineSnapshotContentName", content_name(object));
      for (const char* key : {"creationTime", "readyToUse", "error"}) {
        const json::Value& value = content->path({"status", key});
        if (value.is_null()) {
          status.erase(key);
        } else {
          status.set(key, value);
        }
      }
      if (status.find("readyToUse") == nullptr) status.set("readyToUse", false);
    }
    json::Value holder = json::Value::object({{"status", status}});
    const std::string phase = phase_of(object);
    const bool succeeded = phase == "Succeeded" || (phase != "Failed" && status.path({"creationTime"}).is_string());
    if (phase == "Failed" || (phase != "Succeeded" && deadline_passed(world_, object) && !being_deleted(object))) {
      holder["status"].set("phase", "Failed");
      set_condition(world_, holder, "Progressing", "False", "Operation failed");
      set_condition(world_, holder, "Failure", "True", "snapshot deadline exceeded");
    } else if (succeeded) {
      holder["status"].set("phase", "Succeeded");
      set_condition(world_, holder, "Progressing", "False", "Operation complete");
      if (content != nullptr && phase != "Succeeded") set_volumes(holder["status"], *content);
    } else {
      holder["status"].set("phase", "InProgress");
      const bool ours = vm != nullptr && locked_by(*vm, name.name);
      set_condition(world_, holder, "Progressing", ours ? "True" : "False",
                    ours            ? "Source locked and operation in progress"
                    : vm == nullptr ? "Source does not exist"
                                    : why_not_locked);
      set_indications(holder["status"], object);
      if (being_deleted(object)) {
        holder["status"].set("phase", "Deleting");
        set_condition(world_, holder, "Progressing", "False", "VM snapshot is deleting");
      }
    }
    const bool ready = holder.path({"status", "readyToUse"}).as_bool();
    set_condition(world_, holder, "Ready", ready ? "True" : "False", ready ? "Ready" : "Not ready");
    if (holder.path({"status", "error"}).is_object()) set_condition(world_, holder, "Progressing", "False", "In error state");
    object.set("status", holder.path({"status"}));
  });
}

}  // namespace vmbackup::test
