#include <fnmatch.h>

#include <charconv>
#include <ctime>

#include "base/text.hpp"
#include "support/fake_cluster_controllers.hpp"
#include "support/fake_cluster_guest.hpp"

namespace vmbackup::test {

namespace {

constexpr const char* k_bound = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";
constexpr const char* k_as_source = "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection";
constexpr const char* k_content = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection";
constexpr base::Duration k_retry = std::chrono::milliseconds(400);

const Kind& pvc_kind() { return kind("PersistentVolumeClaim"); }
const Kind& vs_kind() { return kind("VolumeSnapshot"); }
const Kind& vsc_kind() { return kind("VolumeSnapshotContent"); }

std::string claim_of(const json::Value& snapshot) { return snapshot.path({"spec", "source", "persistentVolumeClaimName"}).as_string(); }

// Bare numbers are seconds.
base::Duration delay_of(const std::string& text) {
  const base::Result<base::Duration> value = base::parse_duration(text);
  if (value) return *value;
  const base::Result<base::Duration> seconds = base::parse_duration(text + "s");
  return seconds ? *seconds : base::Duration::zero();
}

}  // namespace

StorageController::StorageController(World& world)
    : world_(world),
      claims_(world.timers, [this](const kube::Name& name) { bind(name); }),
      snapshots_(world.timers, [this](const kube::Name& name) { reconcile(name); }) {
  world.store.listen([this](const StoreChange& change) {
    const kube::Name name{namespace_of(change.object), name_of(change.object)};
    if (change.kind == &pvc_kind()) claims_.add(name, world_.options.speed.bind);
    if (change.kind == &vs_kind() && change.type != StoreChange::Type::deleted) snapshots_.add(name, world_.options.speed.react);
    // A starting instance is the first consumer of its claims.
    if (change.kind != &kind("Pod") || change.type != StoreChange::Type::added) return;
    for (const json::Value& volume : change.object.path({"spec", "volumes"}).items()) {
      claims_.add({name.ns, volume.path({"persistentVolumeClaim", "claimName"}).as_string()}, world_.options.speed.bind);
    }
  });
}

// ---- claims ----

void StorageController::bind(const kube::Name& name) {
  const json::Value* found = world_.store.find(pvc_kind(), name.ns, name.name);
  if (found == nullptr) return;
  if (being_deleted(*found)) {
    world_.store.edit(pvc_kind(), name.ns, name.name,
                      [](json::Value& object) { remove_finalizer(object, "kubernetes.io/pvc-protection"); });
    return;
  }
  const json::Value claim = *found;
  if (claim.path({"status", "phase"}).as_string() == "Bound") return;
  const json::Value* sc = world_.store.find(kind("StorageClass"), "", claim.path({"spec", "storageClassName"}).as_string());
  if (sc == nullptr || sc->path({"parameters", "failProvision"}).is_string()) return;
  if (sc->path({"volumeBindingMode"}).as_string() == "WaitForFirstConsumer") {
    bool used = false;
    for (const json::Value* pod : world_.store.list(kind("Pod"), name.ns)) {
      for (const json::Value& volume : pod->path({"spec", "volumes"}).items()) {
        used = used || volume.path({"persistentVolumeClaim", "claimName"}).as_string() == name.name;
      }
    }
    if (!used) return;
  }
  const std::string volume = "pvc-" + uid_of(claim);
  const json::Value size = claim.path({"spec", "resources", "requests", "storage"});
  const json::Value capacity = json::Value::object({{"storage", size.is_null() ? json::Value("1Gi") : size}});
  json::Value pv = json::Value::object();
  pv["metadata"].set("name", volume);
  json::Value& spec = pv["spec"];
  spec.set("capacity", capacity);
  spec.set("accessModes", claim.path({"spec", "accessModes"}));
  spec.set(
      "claimRef",
      json::Value::object(
          {{"kind", "PersistentVolumeClaim"}, {"namespace", name.ns}, {"name", name.name}, {"uid", uid_of(claim)}, {"apiVersion", "v1"}}));
  spec.set("csi", json::Value::object({{"driver", sc->path({"provisioner"})}, {"volumeHandle", volume}}));
  spec.set("storageClassName", name_of(*sc));
  pv.set("status", json::Value::object({{"phase", "Bound"}}));
  world_.store.create(kind("PersistentVolume"), pv);
  world_.store.edit(pvc_kind(), name.ns, name.name, [&](json::Value& object) {
    object["spec"].set("volumeName", volume);
    object.set("status",
               json::Value::object({{"phase", "Bound"}, {"accessModes", object.path({"spec", "accessModes"})}, {"capacity", capacity}}));
  });
}

// ---- VolumeSnapshots ----

std::string StorageController::knob(const json::Value& snapshot, const std::string& key) const {
  const std::string claim_name = claim_of(snapshot);
  const json::Value* claim = world_.store.find(pvc_kind(), namespace_of(snapshot), claim_name);
  const std::string sc = claim == nullptr ? "" : claim->path({"spec", "storageClassName"}).as_string();
  std::string best;
  std::size_t length = 0;
  for (const json::Value* owner :
       {world_.store.find(kind("StorageClass"), "", sc),
        world_.store.find(kind("VolumeSnapshotClass"), "", snapshot.path({"spec", "volumeSnapshotClassName"}).as_string())}) {
    if (owner == nullptr) continue;
    for (const json::Member& parameter : owner->path({"parameters"}).members()) {
      const std::size_t at = parameter.first.find('@');
      const std::string glob = at == std::string::npos ? "*" : parameter.first.substr(at + 1);
      if (parameter.first.substr(0, at) != key || glob.size() < length || fnmatch(glob.c_str(), claim_name.c_str(), 0) != 0) continue;
      best = parameter.second.as_string();
      length = glob.size();
    }
  }
  return best;
}

void StorageController::reconcile(const kube::Name& name) {
  const json::Value* found = world_.store.find(vs_kind(), name.ns, name.name);
  if (found == nullptr) return;
  const json::Value snapshot = *found;
  if (being_deleted(snapshot)) return remove(snapshot);
  if (!has_finalizer(snapshot, k_bound)) return begin(snapshot);
}

void StorageController::begin(const json::Value& snapshot) {
  const kube::Name name{namespace_of(snapshot), name_of(snapshot)};
  const std::string& wanted = snapshot.path({"spec", "volumeSnapshotClassName"}).as_string();
  const json::Value* vs_class = world_.store.find(kind("VolumeSnapshotClass"), "", wanted);
  const json::Value* claim = world_.store.find(pvc_kind(), name.ns, claim_of(snapshot));
  if (vs_class == nullptr)
    return fail(name, "Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io \"" + wanted + "\" not found");
  if (claim == nullptr)
    return fail(name, "Failed to create snapshot content with error snapshot controller failed to update " + name.name +
                          " on API server: cannot get claim from snapshot");
  const std::string content = "snapcontent-" + uid_of(snapshot);
  json::Value object = json::Value::object();
  object["metadata"].set("name", content);
  object["metadata"].set("finalizers", json::Value::array({k_content}));
  object.set("spec", json::Value::object({{"deletionPolicy", vs_class->path({"deletionPolicy"})},
                                          {"driver", vs_class->path({"driver"})},
                                          {"source", json::Value::object({{"volumeHandle", claim->path({"spec", "volumeName"})}})},
                                          {"sourceVolumeMode", claim->path({"spec", "volumeMode"})},
                                          {"volumeSnapshotClassName", wanted},
                                          {"volumeSnapshotRef", json::Value::object({{"apiVersion", "snapshot.storage.k8s.io/v1"},
                                                                                     {"kind", "VolumeSnapshot"},
                                                                                     {"name", name.name},
                                                                                     {"namespace", name.ns},
                                                                                     {"uid", uid_of(snapshot)}})}}));
  if (world_.store.find(vsc_kind(), "", content) == nullptr) world_.store.create(vsc_kind(), object);
  world_.store.edit(vs_kind(), name.ns, name.name, [&](json::Value& vs) {
    add_finalizer(vs, k_as_source);
    add_finalizer(vs, k_bound);
    vs.set("status", json::Value::object({{"boundVolumeSnapshotContentName", content}, {"readyToUse", false}}));
  });
  const std::string delay = knob(snapshot, "snapshotDelay");
  if (delay == "never") return;
  world_.timers.in(world_.options.speed.cut + delay_of(delay), [this, name, uid = uid_of(snapshot)] { take_cut(name, uid); });
}

// The driver's refusal of this attempt, by parameter failSnapshots: "always", "always:text", "first:N", "first:N:text", or a text.
std::optional<std::string> StorageController::refusal(const json::Value& snapshot) {
  const std::string how = knob(snapshot, "failSnapshots");
  if (how.empty()) return std::nullopt;
  const std::string usual = "rig: snapshot refused by the array";
  if (how == "always") return usual;
  if (how.starts_with("always:")) return how.substr(std::string("always:").size());
  if (!how.starts_with("first:")) return how;
  const std::vector<std::string> parts = base::split(how, ':');
  int most = 1;
  std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), most);
  if (++refused_[uid_of(snapshot)] > most) return std::nullopt;
  return parts.size() > 2 ? base::join({parts.begin() + 2, parts.end()}, ":") : usual;
}

void StorageController::take_cut(const kube::Name& name, const std::string& uid) {
  const json::Value* found = world_.store.find(vs_kind(), name.ns, name.name);
  if (found == nullptr || uid_of(*found) != uid || being_deleted(*found)) return;
  const json::Value snapshot = *found;
  const std::string content = "snapcontent-" + uid;
  if (const std::optional<std::string> why = refusal(snapshot)) {
    const json::Value* vsc = world_.store.find(vsc_kind(), "", content);
    const std::string handle = vsc == nullptr ? "" : vsc->path({"spec", "source", "volumeHandle"}).as_string();
    const std::string code = knob(snapshot, "failCode").empty() ? "Internal" : knob(snapshot, "failCode");
    fail(name, "Failed to check and update snapshot content: failed to take snapshot of the volume " + handle +
                   ": \"rpc error: code = " + code + " desc = " + *why + "\"");
    const int tries = std::min(++attempts_[uid], 3);
    world_.timers.in(k_retry * tries, [this, name, uid] { take_cut(name, uid); });
    return;
  }
  const std::string vm = vm_of_claim(name.ns, claim_of(snapshot));
  world_.happened("cut", name.ns, vm, vm.empty() ? "stopped" : world_.guests->state({name.ns, vm}), claim_of(snapshot));
  const std::int64_t nanoseconds = world_.clock.wall_now().time_since_epoch().count();
  const json::Value* claim = world_.store.find(pvc_kind(), name.ns, claim_of(snapshot));
  const json::Value size = claim == nullptr ? json::Value("0") : claim->path({"status", "capacity", "storage"});
  world_.store.edit(vsc_kind(), "", content, [&](json::Value& vsc) {
    vsc.set("status", json::Value::object({{"creationTime", nanoseconds}, {"readyToUse", false}, {"snapshotHandle", "snap-" + uid}}));
  });
  const std::string time = world_.store.now_text();
  world_.store.edit(vs_kind(), name.ns, name.name, [&](json::Value& vs) {
    vs["status"].set("creationTime", time);
    vs["status"].set("restoreSize", size);
  });
  const std::string delay = knob(snapshot, "readyDelay");
  if (delay == "never") return;
  world_.timers.in(world_.options.speed.ready + delay_of(delay), [this, name, uid] { make_ready(name, uid); });
}

void StorageController::make_ready(const kube::Name& name, const std::string& uid) {
  const json::Value* found = world_.store.find(vs_kind(), name.ns, name.name);
  if (found == nullptr || uid_of(*found) != uid) return;
  world_.store.edit(vsc_kind(), "", "snapcontent-" + uid, [](json::Value& vsc) { vsc["status"].set("readyToUse", true); });
  // An error of an earlier attempt stays until now. [external-snapshotter 8.6.0, updateSnapshotContentStatus]
  world_.store.edit(vs_kind(), name.ns, name.name, [](json::Value& vs) {
    vs["status"].set("readyToUse", true);
    vs["status"].erase("error");
  });
}

void StorageController::fail(const kube::Name& name, const std::string& message) {
  world_.store.edit(vs_kind(), name.ns, name.name, [&](json::Value& vs) {
    vs["status"].set("error", json::Value::object({{"message", message}, {"time", world_.store.now_text()}}));
    vs["status"].set("readyToUse", false);
  });
}

void StorageController::remove(const json::Value& snapshot) {
  const std::string content = "snapcontent-" + uid_of(snapshot);
  if (const json::Value* vsc = world_.store.find(vsc_kind(), "", content);
      vsc != nullptr && vsc->path({"spec", "deletionPolicy"}).as_string() != "Retain") {
    world_.store.erase_now(vsc_kind(), "", content);
  }
  attempts_.erase(uid_of(snapshot));
  refused_.erase(uid_of(snapshot));
  world_.store.edit(vs_kind(), namespace_of(snapshot), name_of(snapshot), [](json::Value& vs) {
    remove_finalizer(vs, k_bound);
    remove_finalizer(vs, k_as_source);
  });
}

std::string StorageController::vm_of_claim(const std::string& ns, const std::string& claim) const {
  for (const json::Value* vm : world_.store.list(kind("VirtualMachine"), ns)) {
    for (const VolumeClaim& each : all_claims(world_, *vm)) {
      if (each.claim == claim) return name_of(*vm);
    }
  }
  return "";
}

// [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go getVolumeSnapshotClassName]
ClassChoice snapshot_class_of(const World& world, const json::Value& claim) {
  const std::string& sc_name = claim.path({"spec", "storageClassName"}).as_string();
  const json::Value* sc = world.store.find(kind("StorageClass"), "", sc_name);
  if (sc_name.empty() || sc == nullptr) return {};
  if (const json::Value* profile = world.store.find(kind("StorageProfile"), "", sc_name)) {
    const std::string& wanted = profile->path({"status", "snapshotClass"}).as_string();
    if (!wanted.empty()) return {world.store.find(kind("VolumeSnapshotClass"), "", wanted) == nullptr ? "" : wanted, ""};
  }
  std::vector<std::string> candidates;
  std::string fallback;
  for (const json::Value* each : world.store.list(kind("VolumeSnapshotClass"))) {
    if (each->path({"driver"}).as_string() != sc->path({"provisioner"}).as_string()) continue;
    candidates.push_back(name_of(*each));
    // The key counts, whatever its value.
    if (!each->path({"metadata", "annotations", "snapshot.storage.kubernetes.io/is-default-class"}).is_null() && fallback.empty())
      fallback = name_of(*each);
  }
  if (candidates.size() <= 1) return {candidates.empty() ? "" : candidates.front(), ""};
  if (!fallback.empty()) return {fallback, ""};
  return {"", std::to_string(candidates.size()) + " matching VolumeSnapshotClasses for " + sc_name};
}

}  // namespace vmbackup::test
