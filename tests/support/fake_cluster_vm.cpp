#include "support/fake_cluster_controllers.hpp"
#include "support/fake_cluster_guest.hpp"

namespace vmbackup::test {

namespace {

constexpr const char* k_vm_finalizer = "kubevirt.io/virtualMachineControllerFinalize";
constexpr const char* k_vmi_finalizer = "foregroundDeleteVirtualMachine";

const Kind& vm_kind() { return kind("VirtualMachine"); }
const Kind& vmi_kind() { return kind("VirtualMachineInstance"); }
const Kind& pvc_kind() { return kind("PersistentVolumeClaim"); }

std::string strategy_of(const json::Value& vm) {
  const json::Value& running = vm.path({"spec", "running"});
  if (running.is_bool()) return running.as_bool() ? "Always" : "Halted";
  return vm.path({"spec", "runStrategy"}).as_string();
}

const std::string& phase_of(const json::Value& vmi) { return vmi.path({"status", "phase"}).as_string(); }
bool final_phase(const std::string& phase) { return phase == "Succeeded" || phase == "Failed"; }

}  // namespace

VmController::VmController(World& world) : world_(world), queue_(world.timers, [this](const kube::Name& name) { reconcile(name); }) {
  world.store.listen([this](const StoreChange& change) {
    const base::Duration soon = world_.options.speed.react;
    const kube::Name name{namespace_of(change.object), name_of(change.object)};
    if (change.kind == &vm_kind() || change.kind == &vmi_kind()) return queue_.add(name, soon);
    const bool storage =
        change.kind == &kind("StorageClass") || change.kind == &kind("VolumeSnapshotClass") || change.kind == &kind("StorageProfile");
    if (!storage && change.kind != &pvc_kind()) return;
    for (const json::Value* vm : world_.store.list(vm_kind(), storage ? "" : name.ns)) queue_.add({namespace_of(*vm), name_of(*vm)}, soon);
  });
}

void VmController::reconcile(const kube::Name& name) {
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  if (vmi != nullptr && being_deleted(*vmi)) shut_down(name);
  if (vmi != nullptr && final_phase(phase_of(*vmi))) end_instance(name);
  const json::Value* found = world_.store.find(vm_kind(), name.ns, name.name);
  if (found == nullptr) return;
  const json::Value vm = *found;
  vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  if (being_deleted(vm)) {
    if (vmi != nullptr) {
      world_.store.remove(vmi_kind(), name.ns, name.name);
    } else {
      world_.store.edit(vm_kind(), name.ns, name.name, [](json::Value& object) { remove_finalizer(object, k_vm_finalizer); });
    }
    return;
  }
  if (!has_finalizer(vm, k_vm_finalizer)) {
    world_.store.edit(vm_kind(), name.ns, name.name, [](json::Value& object) { add_finalizer(object, k_vm_finalizer); });
  }
  make_data_volumes(vm);
  const std::string strategy = strategy_of(vm);
  bool wanted = strategy == "Always" || strategy == "Once" || strategy == "RerunOnFailure";
  for (const json::Value& change : vm.path({"status", "stateChangeRequests"}).items())
    wanted = change.path({"action"}).as_string() == "Start";
  if (strategy == "Manual" && vm.path({"status", "stateChangeRequests"}).items().empty()) wanted = vmi != nullptr;
  if (wanted && vmi == nullptr && claims_ready(vm)) start(vm);
  if (!wanted && vmi != nullptr && !being_deleted(*vmi)) world_.store.remove(vmi_kind(), name.ns, name.name);
  update_status(name);
}

// CDI: a DataVolume per template, with a claim of its name, Succeeded at once.
void VmController::make_data_volumes(const json::Value& vm) {
  const std::string& ns = namespace_of(vm);
  for (const json::Value& wanted : vm.path({"spec", "dataVolumeTemplates"}).items()) {
    if (world_.store.find(kind("DataVolume"), ns, name_of(wanted)) != nullptr) continue;
    json::Value data_volume = wanted;
    data_volume["metadata"].set("namespace", ns);
    data_volume["metadata"].set("ownerReferences", json::Value::array({owner_reference(vm_kind(), vm)}));
    data_volume.set("status", json::Value::object({{"phase", "Succeeded"}, {"progress", "100.0%"}, {"claimName", name_of(wanted)}}));
    const json::Value made = world_.store.create(kind("DataVolume"), data_volume);
    const json::Value& asked = wanted.path({"spec", "pvc"}).is_object() ? wanted.path({"spec", "pvc"}) : wanted.path({"spec", "storage"});
    if (world_.store.find(pvc_kind(), ns, name_of(wanted)) != nullptr) continue;
    json::Value claim = json::Value::object({{"spec", asked}});
    claim["metadata"].set("name", name_of(wanted));
    claim["metadata"].set("namespace", ns);
    claim["metadata"].set("ownerReferences", json::Value::array({owner_reference(kind("DataVolume"), made)}));
    admit(world_, pvc_kind(), claim, json::Value(), false);
    world_.store.create(pvc_kind(), claim);
  }
}

bool VmController::claims_ready(const json::Value& vm) const {
  for (const VolumeClaim& each : volume_claims(vm)) {
    const json::Value* claim = world_.store.find(pvc_kind(), namespace_of(vm), each.claim);
    if (claim == nullptr) return false;
    if (claim->path({"status", "phase"}).as_string() == "Bound") continue;
    const json::Value* sc = world_.store.find(kind("StorageClass"), "", claim->path({"spec", "storageClassName"}).as_string());
    if (sc == nullptr || sc->path({"volumeBindingMode"}).as_string() != "WaitForFirstConsumer") return false;
  }
  return true;
}

void VmController::make_state_claim(const json::Value& vm) {
  if (!needs_state(vm) || !state_claim(world_, vm).empty()) return;
  json::Value claim = json::Value::object();
  claim["metadata"].set("name", state_volume(vm) + "-" + world_.store.new_uid().substr(0, 5));
  claim["metadata"].set("namespace", namespace_of(vm));
  claim["metadata"].set("labels", json::Value::object({{"persistent-state-for", name_of(vm)}}));
  claim["metadata"].set("ownerReferences", json::Value::array({owner_reference(vm_kind(), vm)}));
  claim.set("spec", json::Value::object({{"accessModes", json::Value::array({"ReadWriteOnce"})},
                                         {"resources", json::Value::object({{"requests", json::Value::object({{"storage", "10Mi"}})}})}}));
  admit(world_, pvc_kind(), claim, json::Value(), false);
  world_.store.create(pvc_kind(), claim);
}

void VmController::start(const json::Value& vm) {
  make_state_claim(vm);
  const std::string revision = "revision-start-vm-" + uid_of(vm) + "-" + std::to_string(vm.path({"metadata", "generation"}).as_integer());
  if (world_.store.find(kind("ControllerRevision"), namespace_of(vm), revision) == nullptr) {
    json::Value object = json::Value::object({{"data", json::Value::object({{"spec", vm.path({"spec"})}})}, {"revision", 1}});
    object["metadata"].set("name", revision);
    object["metadata"].set("namespace", namespace_of(vm));
    object["metadata"].set("ownerReferences", json::Value::array({owner_reference(vm_kind(), vm)}));
    world_.store.create(kind("ControllerRevision"), object);
  }
  json::Value vmi = json::Value::object();
  json::Value& meta = vmi["metadata"];
  meta = vm.path({"spec", "template", "metadata"}).is_object() ? vm.path({"spec", "template", "metadata"}) : json::Value::object();
  meta.erase("creationTimestamp");
  meta.set("name", name_of(vm));
  meta.set("namespace", namespace_of(vm));
  meta.set("finalizers", json::Value::array({k_vm_finalizer, k_vmi_finalizer}));
  meta.set("ownerReferences", json::Value::array({owner_reference(vm_kind(), vm)}));
  vmi.set("spec", vm.path({"spec", "template", "spec"}));
  vmi["status"].set("virtualMachineRevisionName", revision);
  set_phase(vmi, "Pending");
  const json::Value made = world_.store.create(vmi_kind(), vmi);
  const kube::Name name{namespace_of(made), name_of(made)};
  world_.timers.in(world_.options.speed.react, [this, name, uid = uid_of(made)] { bring_up(name, uid); });
}

void VmController::set_phase(json::Value& vmi, const std::string& phase) {
  vmi["status"].set("phase", phase);
  vmi["status"]["phaseTransitionTimestamps"].push_back(
      json::Value::object({{"phase", phase}, {"phaseTransitionTimestamp", world_.store.now_text()}}));
}

void VmController::bring_up(const kube::Name& name, const std::string& uid) {
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  if (vmi == nullptr || uid_of(*vmi) != uid || being_deleted(*vmi)) return;
  make_pod(*vmi);
  world_.store.edit(vmi_kind(), name.ns, name.name, [this](json::Value& object) {
    set_phase(object, "Scheduling");
    set_phase(object, "Scheduled");
    object["status"].set("nodeName", "node01");
    object["metadata"]["labels"].set("kubevirt.io/nodeName", "node01");
    set_condition(world_, object, "Ready", "False", "GuestNotRunning", "Guest VM is not reported as running");
  });
  const base::Duration wait = Knob{"", world_.guests->knob(name, "boot", "").mode}.duration(world_.options.speed.boot);
  world_.timers.in(wait, [this, name, uid] { make_running(name, uid); });
}

void VmController::make_pod(const json::Value& vmi) {
  json::Value pod = json::Value::object();
  pod["metadata"].set("name", "virt-launcher-" + name_of(vmi) + "-" + world_.store.new_uid().substr(0, 5));
  pod["metadata"].set("namespace", namespace_of(vmi));
  pod["metadata"].set(
      "labels", json::Value::object(
                    {{"kubevirt.io", "virt-launcher"}, {"kubevirt.io/created-by", uid_of(vmi)}, {"vm.kubevirt.io/name", name_of(vmi)}}));
  // Velero's hooks are there on every launcher. [kubevirt 1.9.0, pkg/virt-controller/services/template.go]
  const auto freezer = [&vmi](const char* what) {
    return json::dump(json::Value::array({"/usr/bin/virt-freezer", what, "--name", name_of(vmi), "--namespace", namespace_of(vmi)}));
  };
  pod["metadata"].set("annotations", json::Value::object({{"kubevirt.io/domain", name_of(vmi)},
                                                          {"kubectl.kubernetes.io/default-container", "compute"},
                                                          {"pre.hook.backup.velero.io/container", "compute"},
                                                          {"pre.hook.backup.velero.io/command", freezer("--freeze")},
                                                          {"pre.hook.backup.velero.io/timeout", "60s"},
                                                          {"post.hook.backup.velero.io/container", "compute"},
                                                          {"post.hook.backup.velero.io/command", freezer("--unfreeze")}}));
  pod["metadata"].set("ownerReferences", json::Value::array({owner_reference(vmi_kind(), vmi)}));
  json::Value volumes = json::Value::array();
  for (const json::Value& volume : vmi.path({"spec", "volumes"}).items()) {
    const std::string& claim = volume.path({"persistentVolumeClaim", "claimName"}).as_string();
    const std::string& data_volume = volume.path({"dataVolume", "name"}).as_string();
    if (claim.empty() && data_volume.empty()) continue;
    volumes.push_back(
        json::Value::object({{"name", volume.path({"name"})},
                             {"persistentVolumeClaim", json::Value::object({{"claimName", claim.empty() ? data_volume : claim}})}}));
  }
  pod.set("spec", json::Value::object({{"nodeName", "node01"},
                                       {"containers", json::Value::array({json::Value::object({{"name", "compute"}})})},
                                       {"volumes", volumes}}));
  pod.set("status", json::Value::object({{"phase", "Running"}}));
  const json::Value made = world_.store.create(kind("Pod"), pod);
  world_.store.edit(vmi_kind(), namespace_of(vmi), name_of(vmi), [&](json::Value& object) {
    object["status"].set("activePods", json::Value::object({{uid_of(made), "node01"}}));
  });
}

void VmController::make_running(const kube::Name& name, const std::string& uid) {
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  if (vmi == nullptr || uid_of(*vmi) != uid || being_deleted(*vmi)) return;
  world_.store.edit(vmi_kind(), name.ns, name.name, [this](json::Value& object) {
    set_phase(object, "Running");
    set_condition(world_, object, "Ready", "True");
    set_condition(world_, object, "LiveMigratable", "True");
    set_condition(world_, object, "StorageLiveMigratable", "True");
    json::Value statuses = json::Value::array();
    for (const json::Value& volume : object.path({"spec", "volumes"}).items()) {
      statuses.push_back(json::Value::object({{"name", volume.path({"name"})}, {"target", disk_device(statuses.items().size())}}));
    }
    object["status"].set("volumeStatus", statuses);
  });
  world_.guests->boot(name);
  const std::string power = world_.guests->knob(name, "power", "on").mode;
  if (power == "on") return;
  world_.timers.in(world_.options.speed.react,
                   [this, name, uid, power] { power_off(name, uid, power == "crash" ? "Failed" : "Succeeded"); });
}

void VmController::shut_down(const kube::Name& name) {
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  const std::string uid = uid_of(*vmi);
  if (final_phase(phase_of(*vmi)) || !stopping_.insert(uid).second) return;
  const Knob how = world_.guests->knob(name, "shutdown", "ok");
  const base::Duration grace = std::chrono::seconds(vmi->path({"spec", "terminationGracePeriodSeconds"}).as_integer(30));
  base::Duration wait = how.mode == "ok" ? world_.options.speed.boot : how.mode == "slow" ? std::min(how.duration(grace), grace) : grace;
  if (!world_.guests->running(name)) wait = base::Duration::zero();
  const bool killed = how.mode == "never";
  world_.timers.in(wait, [this, name, uid, killed] { power_off(name, uid, killed ? "Failed" : "Succeeded"); });
}

void VmController::power_off(const kube::Name& name, const std::string& uid, const std::string& phase) {
  stopping_.erase(uid);
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  if (vmi == nullptr || uid_of(*vmi) != uid) return;
  world_.guests->gone(name);
  world_.store.edit(vmi_kind(), name.ns, name.name, [&](json::Value& object) {
    drop_condition(object, "AgentConnected");
    drop_condition(object, "Paused");
    object["status"].erase("fsFreezeStatus");
    set_condition(world_, object, "Ready", "False", "PodTerminating", "virt-launcher pod is terminating");
    set_phase(object, phase);
  });
}

// A final instance is taken away: always when it is being deleted, and where the VM wants a new one.
void VmController::end_instance(const kube::Name& name) {
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  for (const json::Value* pod : world_.store.list(kind("Pod"), name.ns)) {
    if (pod->path({"metadata", "labels", "kubevirt.io/created-by"}).as_string() != uid_of(*vmi)) continue;
    world_.store.remove(kind("Pod"), name.ns, name_of(*pod));
    break;
  }
  const json::Value* vm = world_.store.find(vm_kind(), name.ns, name.name);
  vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  const std::string strategy = vm == nullptr ? "" : strategy_of(*vm);
  const bool again =
      strategy == "Always" || strategy == "Halted" || vm == nullptr || (strategy == "RerunOnFailure" && phase_of(*vmi) == "Failed");
  if (!being_deleted(*vmi) && again) world_.store.remove(vmi_kind(), name.ns, name.name);
  vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  if (vmi == nullptr || !being_deleted(*vmi)) return;
  world_.store.edit(vmi_kind(), name.ns, name.name, [](json::Value& object) {
    remove_finalizer(object, k_vm_finalizer);
    remove_finalizer(object, k_vmi_finalizer);
  });
}

namespace {

std::string printable_status(const json::Value& vm, const json::Value* vmi) {
  if (being_deleted(vm)) return "Terminating";
  if (vmi == nullptr) return strategy_of(vm) == "Halted" || strategy_of(vm) == "Manual" ? "Stopped" : "Provisioning";
  if (being_deleted(*vmi)) return "Stopping";
  const std::string& phase = phase_of(*vmi);
  if (phase == "Running") return condition(*vmi, "Paused") == "True" ? "Paused" : "Running";
  return final_phase(phase) ? "Stopped" : "Starting";
}

json::Value volume_statuses(const World& world, const json::Value& vm) {
  json::Value result = json::Value::array();
  const std::vector<VolumeClaim> claims = all_claims(world, vm);
  std::vector<std::string> names;
  for (const json::Value& volume : vm.path({"spec", "template", "spec", "volumes"}).items()) {
    names.push_back(volume.path({"name"}).as_string());
  }
  if (!state_claim(world, vm).empty()) names.push_back(state_volume(vm));
  for (const std::string& name : names) {
    std::string reason = "Snapshot is not supported for this volumeSource type [" + name + "]";
    for (const VolumeClaim& each : claims) {
      if (each.volume != name) continue;
      const json::Value* claim = world.store.find(pvc_kind(), namespace_of(vm), each.claim);
      const ClassChoice choice = claim == nullptr ? ClassChoice{"", "PVC not found"} : snapshot_class_of(world, *claim);
      const std::string storage_class = claim == nullptr ? "" : claim->path({"spec", "storageClassName"}).as_string();
      reason = !choice.error.empty() ? choice.error
               : choice.name.empty() ? "No VolumeSnapshotClass: Volume snapshots are not configured for this StorageClass [" +
                                           storage_class + "] [" + name + "]"
                                     : "";
    }
    json::Value entry = json::Value::object({{"enabled", reason.empty()}, {"name", name}});
    if (!reason.empty()) entry.set("reason", reason);
    result.push_back(std::move(entry));
  }
  return result;
}

}  // namespace

void VmController::update_status(const kube::Name& name) {
  const json::Value* found = world_.store.find(vmi_kind(), name.ns, name.name);
  const std::optional<json::Value> vmi = found == nullptr ? std::nullopt : std::optional<json::Value>(*found);
  world_.store.edit(vm_kind(), name.ns, name.name, [&](json::Value& vm) {
    const json::Value statuses = volume_statuses(world_, vm);
    const std::string printable = printable_status(vm, vmi ? &*vmi : nullptr);
    json::Value& status = vm["status"];
    const bool running = printable == "Running";
    if (vmi) {
      status.set("created", true);
    } else {
      status.erase("created");
    }
    if (running) {
      status.set("ready", true);
    } else {
      status.erase("ready");
    }
    status.set("printableStatus", printable);
    status.set("runStrategy", strategy_of(vm));
    status.set("desiredGeneration", vm.path({"metadata", "generation"}));
    status.set("observedGeneration", vm.path({"metadata", "generation"}));
    status.set("volumeSnapshotStatuses", statuses);
    const std::string why = vmi ? "GuestNotRunning" : "VMINotExists";
    if (running) {
      set_condition(world_, vm, "Ready", "True");
    } else {
      set_condition(world_, vm, "Ready", "False", why, vmi ? "Guest VM is not reported as running" : "VMI does not exist");
    }
    for (const char* mirrored : {"AgentConnected", "LiveMigratable", "StorageLiveMigratable"}) {
      if (vmi && condition(*vmi, mirrored) == "True") {
        set_condition(world_, vm, mirrored, "True");
      } else {
        drop_condition(vm, mirrored);
      }
    }
    if (vmi && condition(*vmi, "Paused") == "True") {
      set_condition(world_, vm, "Paused", "True", "PausedByUser", "VMI was paused by user");
    } else {
      drop_condition(vm, "Paused");
    }
  });
}

std::vector<VolumeClaim> volume_claims(const json::Value& vm) {
  std::vector<VolumeClaim> result;
  for (const json::Value& volume : vm.path({"spec", "template", "spec", "volumes"}).items()) {
    const std::string& name = volume.path({"name"}).as_string();
    for (const auto& [source, key] :
         {std::pair<const char*, const char*>{"persistentVolumeClaim", "claimName"}, {"dataVolume", "name"}, {"memoryDump", "claimName"}}) {
      const std::string& claim = volume.path({source, key}).as_string();
      if (!claim.empty()) result.push_back({name, claim});
    }
  }
  return result;
}

bool needs_state(const json::Value& vm) {
  const json::Value& domain = vm.path({"spec", "template", "spec", "domain"});
  return domain.path({"devices", "tpm", "persistent"}).as_bool() || domain.path({"firmware", "bootloader", "efi", "persistent"}).as_bool();
}

std::string state_volume(const json::Value& vm) { return "persistent-state-for-" + name_of(vm); }

std::string state_claim(const World& world, const json::Value& vm) {
  if (!needs_state(vm)) return "";
  for (const json::Value* claim : world.store.list(pvc_kind(), namespace_of(vm))) {
    const json::Value* of = claim->path({"metadata", "labels"}).find("persistent-state-for");
    if (of != nullptr && of->as_string() == name_of(vm)) return name_of(*claim);
  }
  return "";
}

std::vector<VolumeClaim> all_claims(const World& world, const json::Value& vm) {
  std::vector<VolumeClaim> result = volume_claims(vm);
  if (const std::string claim = state_claim(world, vm); !claim.empty()) result.push_back({state_volume(vm), claim});
  return result;
}

}  // namespace vmbackup::test
