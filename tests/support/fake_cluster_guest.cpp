#include "support/fake_cluster_guest.hpp"

#include <charconv>

namespace vmbackup::test {

namespace {

constexpr base::Duration k_poll = std::chrono::seconds(5);           // virt-launcher's poll of the freeze status
constexpr base::Duration k_answer_limit = std::chrono::seconds(10);  // virt-api's patience with virt-handler
constexpr base::Duration k_vss_limit = std::chrono::seconds(10);     // Windows lets go of frozen writes

const Kind& vmi_kind() { return kind("VirtualMachineInstance"); }

Answer done() { return good(json::Value()); }

Answer vmi_conflict(const std::string& name, const std::string& what) {
  return conflict("virtualmachineinstance.kubevirt.io", "kubevirt.io", "virtualmachineinstance", name, what);
}

std::string libvirt_error(int code, const std::string& message) {
  return "LibvirtError(Code=" + std::to_string(code) + ", Domain=10, Message='" + message + "')";
}

std::string agent_failed(const std::string& command, const std::string& text) {
  return libvirt_error(1, "internal error: unable to execute QEMU agent command '" + command + "': " + text);
}

// A failure in virt-launcher, as virt-api passes it on.
Answer launcher_failed(const std::string& command, const std::string& error) {
  return internal_error("unexpected return code 400 (400 Bad Request), message: server error. command " + command + " failed: \"" + error +
                        "\"");
}

Answer gave_up(const kube::Name& name, const std::string& what) {
  return internal_error("Put \"https://127.0.0.1:8186/v1/namespaces/" + name.ns + "/virtualmachineinstances/" + name.name + "/" + what +
                        "\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
}

json::Value os_info(bool windows, const std::string& id) {
  if (windows) {
    return json::Value::object({{"id", id},
                                {"name", "Microsoft Windows"},
                                {"prettyName", "Windows Server 2022 Standard"},
                                {"version", "Microsoft Windows Server 2022"},
                                {"versionId", "2022"},
                                {"kernelRelease", "20348"},
                                {"kernelVersion", "10.0"},
                                {"machine", "x86_64"}});
  }
  return json::Value::object({{"id", id},
                              {"name", "Debian GNU/Linux"},
                              {"prettyName", "Debian GNU/Linux 12 (bookworm)"},
                              {"version", "12 (bookworm)"},
                              {"versionId", "12"},
                              {"kernelRelease", "6.1.0-40-amd64"},
                              {"kernelVersion", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1"},
                              {"machine", "x86_64"}});
}

}  // namespace

base::Duration Knob::duration(base::Duration fallback) const {
  const base::Result<base::Duration> value = base::parse_duration(argument);
  return value ? *value : fallback;
}

int Knob::count(int fallback) const {
  int value = fallback;
  std::from_chars(argument.data(), argument.data() + argument.size(), value);
  return value;
}

Guests::Guests(World& world) : world_(world) {
  world.store.listen([this](const StoreChange& change) {
    if (change.kind != &vmi_kind()) return;
    const kube::Name name{namespace_of(change.object), name_of(change.object)};
    const auto found = guests_.find(name);
    if (found == guests_.end()) return;
    const json::Value& before = change.previous.path({"metadata", "annotations"});
    if (before == change.object.path({"metadata", "annotations"})) return;
    world_.timers.in(base::Duration::zero(), [this, name, life = found->second.life] { refresh_agent(name, life); });
  });
}

Knob Guests::knob(const kube::Name& name, const std::string& key, const std::string& fallback) const {
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  std::string text = vmi == nullptr ? "" : vmi->path({"metadata", "annotations", "guest.vmbackup.test/" + key}).as_string();
  if (text.empty()) text = fallback;
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

void Guests::boot(const kube::Name& name) {
  Guest guest;
  guest.booted = world_.clock.now();
  guest.life = ++last_life_;
  guests_[name] = guest;
  world_.happened("boot", name.ns, name.name);
  const base::Duration wait = Knob{"", knob(name, "agent-delay", "").mode}.duration(world_.options.speed.agent);
  world_.timers.in(wait, [this, name, life = guest.life] { refresh_agent(name, life); });
}

void Guests::gone(const kube::Name& name) {
  const auto found = guests_.find(name);
  if (found == guests_.end()) return;
  if (found->second.safety) world_.timers.cancel(*found->second.safety);
  guests_.erase(found);
  world_.happened("stopped", name.ns, name.name);
}

Guests::Guest* Guests::find(const kube::Name& name, std::uint64_t life) {
  const auto found = guests_.find(name);
  return found == guests_.end() || found->second.life != life ? nullptr : &found->second;
}

bool Guests::frozen(const kube::Name& name) const {
  const auto found = guests_.find(name);
  return found != guests_.end() && !found->second.writing;
}

bool Guests::paused(const kube::Name& name) const {
  const auto found = guests_.find(name);
  return found != guests_.end() && found->second.paused;
}

std::string Guests::state(const kube::Name& name) const {
  if (!running(name)) return "stopped";
  return frozen(name) ? "frozen" : paused(name) ? "paused" : "running";
}

bool Guests::answers(const kube::Name& name, const Guest& guest) const {
  return guest.agent && !guest.paused && knob(name, "agent", "connected").mode != "hung";
}

// ---- agent and poll ----

void Guests::refresh_agent(const kube::Name& name, std::uint64_t life) {
  Guest* guest = find(name, life);
  if (guest == nullptr) return;
  const Knob agent = knob(name, "agent", "connected");
  if (agent.mode == "flapping") {
    connect(name, *guest, !guest->agent);
    world_.timers.in(agent.duration(std::chrono::seconds(3)), [this, name, life] { refresh_agent(name, life); });
    return;
  }
  connect(name, *guest, agent.mode != "none");
}

void Guests::connect(const kube::Name& name, Guest& guest, bool connected) {
  if (guest.agent == connected) return;
  guest.agent = connected;
  const bool windows = knob(name, "os", "linux").mode == "windows";
  const std::string id = knob(name, "os-id", windows ? "mswindows" : "debian").mode;
  world_.store.edit(vmi_kind(), name.ns, name.name, [&](json::Value& vmi) {
    if (connected) {
      set_condition(world_, vmi, "AgentConnected", "True");
      if (vmi.path({"status", "guestOSInfo", "name"}).is_null()) vmi["status"].set("guestOSInfo", os_info(windows, id));
    } else {
      drop_condition(vmi, "AgentConnected");
    }
  });
}

void Guests::plan_poll(const kube::Name& name, Guest& guest) {
  if (guest.poll_due) return;
  guest.poll_due = true;
  const base::Duration since = world_.clock.now() - guest.booted;
  const base::TimePoint tick = guest.booted + (since / k_poll + 1) * k_poll;
  world_.timers.at(tick, [this, name, life = guest.life] { poll(name, life); });
}

void Guests::poll(const kube::Name& name, std::uint64_t life) {
  Guest* guest = find(name, life);
  if (guest == nullptr) return;
  guest->poll_due = false;
  if (!answers(name, *guest)) {
    // No word, no change: the status stays as it was until the agent answers again.
    if (guest->told_frozen != guest->frozen) plan_poll(name, *guest);
    return;
  }
  guest->told_frozen = guest->frozen;
  world_.store.edit(vmi_kind(), name.ns, name.name, [frozen = guest->frozen](json::Value& vmi) {
    if (frozen) {
      vmi["status"].set("fsFreezeStatus", "frozen");
    } else {
      vmi["status"].erase("fsFreezeStatus");
    }
  });
}

// ---- freeze and thaw ----

std::optional<Answer> Guests::refused(const kube::Name& name, const std::string& not_running) const {
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  if (vmi == nullptr) return not_found(vmi_kind(), name.name);
  if (vmi->path({"status", "phase"}).as_string() != "Running") return vmi_conflict(name.name, not_running);
  return std::nullopt;
}

void Guests::ask(const kube::Name& name, const char* what, std::optional<base::Duration> delay, std::function<Answer(Guest&)> act,
                 const Reply& reply) {
  const auto answered = std::make_shared<bool>(false);
  if (!delay || *delay > k_answer_limit) {
    world_.timers.in(k_answer_limit, [name, what, answered, reply] {
      if (*answered) return;
      *answered = true;
      reply(gave_up(name, what));
    });
  }
  if (!delay) return;
  world_.timers.in(*delay, [this, name, life = guests_.at(name).life, act = std::move(act), answered, reply] {
    Guest* guest = find(name, life);
    const Answer answer =
        guest == nullptr
            ? launcher_failed("", libvirt_error(86, "Guest agent is not responding: Guest agent disappeared while executing command"))
            : act(*guest);
    if (*answered) return;
    *answered = true;
    reply(answer);
  });
}

namespace {

// How long the guest takes, by knob; nothing: it never answers.
std::optional<base::Duration> pace_of(const Knob& knob, const Knob& agent, base::Duration usual) {
  if (agent.mode == "hung" || (knob.mode == "hang" && knob.argument.empty())) return std::nullopt;
  if (knob.mode == "slow" || knob.mode == "hang") return knob.duration(usual);
  return usual;
}

}  // namespace

void Guests::freeze(const kube::Name& name, std::optional<base::Duration> timeout, const Reply& reply) {
  if (std::optional<Answer> answer = refused(name, "VM is not running")) return reply(*answer);
  if (!timeout)
    return reply(internal_error("unexpected return code 400 (400 Bad Request), message: Unfreeze timeout in freeze request is not set"));
  world_.happened("freeze-request", name.ns, name.name, base::format_duration(*timeout));
  const auto failed = [this, name, reply](const std::string& error) {
    world_.happened("freeze-failed", name.ns, name.name, error);
    reply(launcher_failed("Freeze", error));
  };
  const json::Value* vmi = world_.store.find(vmi_kind(), name.ns, name.name);
  const json::Value& migration = vmi->path({"status", "migrationState"});
  if (migration.is_object() && !migration.path({"completed"}).as_bool() && migration.path({"endTimestamp"}).is_null()) {
    return failed("failed to freeze VMI, VMI is currently during migration");
  }
  const auto found = guests_.find(name);
  if (found == guests_.end() || found->second.paused)
    return failed(libvirt_error(55, "Requested operation is not valid: domain is not running"));
  if (!found->second.agent) return failed(libvirt_error(86, "Guest agent is not responding: QEMU guest agent is not connected"));
  const std::string blocked = knob(name, "freeze-blocked", "false").mode;
  const std::string command = "guest-fsfreeze-freeze";
  if (blocked == "true") return failed(agent_failed(command, "Command " + command + " has been disabled: the command is not allowed"));
  if (blocked == "absent") return failed(agent_failed(command, "The command " + command + " has not been found"));
  const Knob how = knob(name, "freeze", "ok");
  if (found->second.frozen) {
    world_.happened("freeze-again", name.ns, name.name);
    return ask(
        name, "freeze", world_.options.speed.freeze, [](Guest&) { return done(); }, reply);
  }
  const auto act = [this, name, how, seconds = std::chrono::duration_cast<std::chrono::seconds>(*timeout), command](Guest& guest) {
    const bool fails = how.mode == "hang" || (how.mode == "fail" && (how.argument.empty() || ++guest.freezes_failed <= how.count(0)));
    if (fails || guest.paused) {
      const std::string error = guest.paused
                                    ? libvirt_error(55, "Requested operation is not valid: domain is not running")
                                    : agent_failed(command, how.mode == "hang" ? "failed to freeze /data: Input/output error"
                                                                               : "failed to freeze /data: Device or resource busy");
      world_.happened("freeze-failed", name.ns, name.name, error);
      return launcher_failed("Freeze", error);
    }
    now_frozen(name, guest, seconds);
    return done();
  };
  ask(name, "freeze", pace_of(how, knob(name, "agent", "connected"), world_.options.speed.freeze), act, reply);
}

void Guests::now_frozen(const kube::Name& name, Guest& guest, base::Duration timeout) {
  guest.frozen = true;
  guest.writing = false;
  world_.happened("frozen", name.ns, name.name);
  plan_poll(name, guest);
  const std::uint64_t life = guest.life;
  if (timeout > base::Duration::zero()) guest.safety = world_.timers.in(timeout, [this, name, life] { safety_fired(name, life); });
  if (knob(name, "os", "linux").mode != "windows") return;
  world_.timers.in(k_vss_limit, [this, name, life, since = world_.clock.now()] {
    Guest* late = find(name, life);
    if (late == nullptr || late->writing || world_.clock.now() - since < k_vss_limit) return;
    late->writing = true;
    world_.happened("writes-resumed", name.ns, name.name, "VSS limit");
  });
}

void Guests::now_thawed(const kube::Name& name, Guest& guest) {
  if (guest.safety) world_.timers.cancel(*guest.safety);
  guest.safety.reset();
  guest.frozen = false;
  guest.writing = true;
  world_.happened("thawed", name.ns, name.name);
  plan_poll(name, guest);
}

void Guests::safety_fired(const kube::Name& name, std::uint64_t life) {
  Guest* guest = find(name, life);
  if (guest == nullptr) return;
  guest->safety.reset();
  if (!guest->frozen) return;
  world_.happened("safety-timer", name.ns, name.name);
  const Knob how = knob(name, "thaw", "ok");
  const bool fails = how.mode == "fail" && (how.argument.empty() || ++guest->thaws_failed <= how.count(0));
  // One try only, and a paused or silent guest does not hear it.
  if (fails || !answers(name, *guest)) {
    world_.happened("thaw-failed", name.ns, name.name);
  } else {
    now_thawed(name, *guest);
  }
}

void Guests::unfreeze(const kube::Name& name, const Reply& reply) {
  if (std::optional<Answer> answer = refused(name, "VMI is not running")) return reply(*answer);
  world_.happened("thaw-request", name.ns, name.name);
  const auto failed = [this, name, reply](const std::string& error) {
    world_.happened("thaw-failed", name.ns, name.name, error);
    reply(launcher_failed("Unfreeze", error));
  };
  const auto found = guests_.find(name);
  // The timer is cancelled first, even where the thaw then fails.
  if (found != guests_.end() && found->second.safety) {
    world_.timers.cancel(*found->second.safety);
    found->second.safety.reset();
  }
  if (found == guests_.end() || found->second.paused)
    return failed(libvirt_error(55, "Requested operation is not valid: domain is not running"));
  if (!found->second.agent) return failed(libvirt_error(86, "Guest agent is not responding: QEMU guest agent is not connected"));
  if (!found->second.frozen)
    return ask(
        name, "unfreeze", world_.options.speed.freeze, [](Guest&) { return done(); }, reply);
  const Knob how = knob(name, "thaw", "ok");
  const auto act = [this, name, how](Guest& guest) {
    const std::string command = "guest-fsfreeze-thaw";
    if (guest.paused) return launcher_failed("Unfreeze", libvirt_error(55, "Requested operation is not valid: domain is not running"));
    if (how.mode == "fail" && (how.argument.empty() || ++guest.thaws_failed <= how.count(0))) {
      world_.happened("thaw-failed", name.ns, name.name);
      return launcher_failed("Unfreeze", agent_failed(command, "failed to thaw /data: Input/output error"));
    }
    const bool late = guest.frozen && guest.writing;
    if (guest.frozen) now_thawed(name, guest);
    if (late) return launcher_failed("Unfreeze", agent_failed(command, "couldn't hold writes: fsfreeze is limited up to 10 seconds"));
    return done();
  };
  ask(name, "unfreeze", pace_of(how, knob(name, "agent", "connected"), world_.options.speed.freeze), act, reply);
}

// ---- pause ----

Answer Guests::pause(const kube::Name& name, bool dry_run) {
  if (std::optional<Answer> answer = refused(name, "VM is not running")) return *answer;
  if (paused(name)) return vmi_conflict(name.name, "VMI is already paused");
  const auto found = guests_.find(name);
  if (dry_run || found == guests_.end()) return done();
  found->second.paused = true;
  world_.happened("pause", name.ns, name.name);
  world_.store.edit(vmi_kind(), name.ns, name.name,
                    [this](json::Value& vmi) { set_condition(world_, vmi, "Paused", "True", "PausedByUser", "VMI was paused by user"); });
  return done();
}

Answer Guests::unpause(const kube::Name& name, bool dry_run) {
  if (std::optional<Answer> answer = refused(name, "VMI is not running")) return *answer;
  if (!paused(name)) return vmi_conflict(name.name, "VMI is not paused");
  const json::Value* vm = world_.store.find(kind("VirtualMachine"), name.ns, name.name);
  if (vm != nullptr && vm->path({"status", "snapshotInProgress"}).is_string()) {
    return conflict("virtualmachine.kubevirt.io", "kubevirt.io", "virtualmachine", name.name, "VM snapshot is in progress");
  }
  if (dry_run) return done();
  guests_.at(name).paused = false;
  world_.happened("unpause", name.ns, name.name);
  world_.store.edit(vmi_kind(), name.ns, name.name, [](json::Value& vmi) { drop_condition(vmi, "Paused"); });
  return done();
}

}  // namespace vmbackup::test
