// subresources.kubevirt.io, as virt-api serves it. [kubevirt 1.9.0, pkg/virt-api/rest/lifecycle.go, subresource.go]
#include <limits>

#include "support/fake_cluster_guest.hpp"

namespace vmbackup::test {

namespace {

bool asks_dry_run(const Request& request) { return !request.body.path({"dryRun"}).items().empty(); }

Answer accepted() { return good(json::Value(), 202); }

Answer vm_conflict(const std::string& name, const std::string& what) {
  return conflict("virtualmachine.kubevirt.io", "kubevirt.io", "virtualmachine", name, what);
}

std::string strategy_of(const json::Value& vm) {
  const json::Value& running = vm.path({"spec", "running"});
  if (running.is_bool()) return running.as_bool() ? "Always" : "Halted";
  return vm.path({"spec", "runStrategy"}).as_string();
}

void set_strategy(json::Value& vm, bool run) {
  if (vm.path({"spec", "running"}).is_bool()) {
    vm["spec"].set("running", run);
  } else {
    vm["spec"].set("runStrategy", run ? "Always" : "Halted");
  }
}

bool alive(const json::Value* vmi) {
  const std::string& phase = vmi == nullptr ? "Failed" : vmi->path({"status", "phase"}).as_string();
  return vmi != nullptr && phase != "Succeeded" && phase != "Failed";
}

void request_change(json::Value& vm, const std::string& action, const json::Value* vmi) {
  json::Value change = json::Value::object({{"action", action}});
  if (vmi != nullptr) change.set("uid", uid_of(*vmi));
  vm["status"]["stateChangeRequests"].push_back(std::move(change));
}

Answer start(World& world, const kube::Name& name, bool dry_run) {
  const json::Value* vm = world.store.find(kind("VirtualMachine"), name.ns, name.name);
  if (vm == nullptr) return not_found(kind("VirtualMachine"), name.name);
  const json::Value* vmi = world.store.find(kind("VirtualMachineInstance"), name.ns, name.name);
  const std::string strategy = strategy_of(*vm);
  if (alive(vmi)) return vm_conflict(name.name, "VM is already running");
  if (strategy == "Always" || strategy == "Once") return vm_conflict(name.name, strategy + " does not support manual start requests");
  if (dry_run) return accepted();
  world.store.edit(kind("VirtualMachine"), name.ns, name.name, [&](json::Value& object) {
    if (strategy == "Halted") {
      set_strategy(object, true);
    } else {
      request_change(object, "Start", nullptr);
    }
  });
  return accepted();
}

Answer stop(World& world, const kube::Name& name, bool dry_run) {
  const json::Value* vm = world.store.find(kind("VirtualMachine"), name.ns, name.name);
  if (vm == nullptr) return not_found(kind("VirtualMachine"), name.name);
  const json::Value* vmi = world.store.find(kind("VirtualMachineInstance"), name.ns, name.name);
  const std::string strategy = strategy_of(*vm);
  const bool manual = strategy != "Always" && strategy != "Once";
  if (manual && !alive(vmi)) return vm_conflict(name.name, "VM is not running");
  if (strategy == "Halted") return vm_conflict(name.name, "Halted only supports manual stop requests with a shorter graceperiod");
  if (dry_run) return accepted();
  const std::optional<json::Value> instance = vmi == nullptr ? std::nullopt : std::optional<json::Value>(*vmi);
  world.store.edit(kind("VirtualMachine"), name.ns, name.name, [&](json::Value& object) {
    if (manual) {
      request_change(object, "Stop", instance ? &*instance : nullptr);
    } else {
      set_strategy(object, false);
    }
  });
  return accepted();
}

Answer restart(World& world, const kube::Name& name, bool dry_run) {
  const json::Value* vm = world.store.find(kind("VirtualMachine"), name.ns, name.name);
  if (vm == nullptr) return not_found(kind("VirtualMachine"), name.name);
  if (strategy_of(*vm) == "Halted") return vm_conflict(name.name, "RunStategy Halted does not support manual restart requests");
  if (!alive(world.store.find(kind("VirtualMachineInstance"), name.ns, name.name))) return vm_conflict(name.name, "VM is not running");
  if (!dry_run) world.store.remove(kind("VirtualMachineInstance"), name.ns, name.name);
  return accepted();
}

std::optional<base::Duration> unfreeze_timeout(const Request& request) {
  const json::Value* timeout = request.body.find("unfreezeTimeout");
  if (timeout == nullptr) return std::nullopt;
  const base::Result<base::Duration> value = base::parse_duration(timeout->as_string());
  return value ? std::optional<base::Duration>(*value) : std::nullopt;
}

json::Value command(const char* name, bool enabled) { return json::Value::object({{"name", name}, {"enabled", enabled}}); }

// guestosinfo gives no more of them. [kubevirt 1.9.0, pkg/virt-launcher/virtwrap/manager.go]
constexpr std::size_t k_most_in_info = 10;

json::Value file_systems(const json::Value& vmi, std::size_t most = std::numeric_limits<std::size_t>::max()) {
  json::Value items = json::Value::array();
  std::size_t number = 0;
  for (const json::Value& volume : vmi.path({"spec", "volumes"}).items()) {
    if (volume.find("persistentVolumeClaim") == nullptr && volume.find("dataVolume") == nullptr) continue;
    if (number == most) break;
    const std::string disk = disk_device(number);
    items.push_back(json::Value::object({{"diskName", disk + "1"},
                                         {"mountPoint", number == 0 ? "/" : "/data" + std::to_string(number)},
                                         {"fileSystemType", "ext4"},
                                         {"usedBytes", 104857600},
                                         {"totalBytes", 1073741824}}));
    ++number;
  }
  return items;
}

}  // namespace

Answer Guests::info(const kube::Name& name, const std::string& what) const {
  const json::Value* vmi = world_.store.find(kind("VirtualMachineInstance"), name.ns, name.name);
  if (vmi == nullptr) return plain_text(500, "virtualmachineinstances.kubevirt.io \"" + name.name + "\" not found");
  const std::string prefix = "Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io \"" + name.name + "\": ";
  if (vmi->path({"status", "phase"}).as_string() != "Running") return plain_text(500, prefix + "VMI is not running");
  const auto found = guests_.find(name);
  if (found == guests_.end() || !found->second.agent) return plain_text(500, prefix + "VMI does not have guest agent connected");
  if (what == "userlist") return good(json::Value::object({{"metadata", json::Value::object()}, {"items", json::Value::array()}}));
  if (what == "filesystemlist") return good(json::Value::object({{"metadata", json::Value::object()}, {"items", file_systems(*vmi)}}));
  const std::string blocked = knob(name, "freeze-blocked", "false").mode;
  json::Value commands = json::Value::array({command("guest-ping", true), command("guest-info", true)});
  for (const char* each : {"guest-fsfreeze-freeze", "guest-fsfreeze-thaw", "guest-fsfreeze-status"}) {
    if (blocked != "absent") commands.push_back(command(each, blocked != "true"));
  }
  const bool exec = knob(name, "guest-exec", "ok").mode != "blocked";
  for (const char* each : {"guest-exec", "guest-exec-status"}) commands.push_back(command(each, exec));
  json::Value answer = json::Value::object({{"guestAgentVersion", "9.1.0"},
                                            {"supportedCommands", commands},
                                            {"hostname", name.name},
                                            {"os", vmi->path({"status", "guestOSInfo"})},
                                            {"timezone", "UTC, 0"},
                                            {"fsInfo", json::Value::object({{"disks", file_systems(*vmi, k_most_in_info)}})}});
  if (found->second.told_frozen) answer.set("fsFreezeStatus", "frozen");
  return good(answer);
}

void run_subresource(World& world, const Request& request, const Route& route, const std::function<void(Answer)>& answer) {
  const kube::Name name{route.ns, route.name};
  const std::string& what = route.subresource;
  const bool dry_run = asks_dry_run(request);
  const bool put = request.method == "PUT";
  // Its PUTs have no answer of their own, and so produce nothing that is called JSON. [kubevirt 1.9.0, pkg/virt-api/api.go]
  if (put && !request.accept.empty() && request.accept.find("*/*") == std::string::npos) {
    return answer(plain_text(406, "406: Not Acceptable"));
  }
  if (route.plural == "virtualmachineinstances" && put) {
    if (what == "freeze") return world.guests->freeze(name, unfreeze_timeout(request), answer);
    if (what == "unfreeze") return world.guests->unfreeze(name, answer);
    if (what == "pause") return answer(world.guests->pause(name, dry_run));
    if (what == "unpause") return answer(world.guests->unpause(name, dry_run));
  }
  if (route.plural == "virtualmachineinstances" && request.method == "GET") {
    if (what == "guestosinfo" || what == "userlist" || what == "filesystemlist") return answer(world.guests->info(name, what));
  }
  if (route.plural == "virtualmachines" && put) {
    if (what == "start") return answer(start(world, name, dry_run));
    if (what == "stop") return answer(stop(world, name, dry_run));
    if (what == "restart") return answer(restart(world, name, dry_run));
  }
  answer(no_such_path());
}

}  // namespace vmbackup::test
