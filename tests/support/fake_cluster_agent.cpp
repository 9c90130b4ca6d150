// Raw commands to a guest's agent, as virsh qemu-agent-command sends them: past virt-launcher, so a freeze or thaw here neither starts nor
// ends a safety timer. [tests/cluster/node/agent.go]
#include <algorithm>
#include <cstdlib>

#include "base/text.hpp"
#include "support/fake_cluster_guest.hpp"

namespace vmbackup::test {

namespace {

using json::Value;

constexpr base::Duration k_sync_wait = std::chrono::seconds(5);  // libvirt: how long a silent agent is waited for

base::Error libvirt(const std::string& message) { return base::Error(base::ErrorCode::unavailable, message); }

base::Error agent_failed(const std::string& command, const std::string& text) {
  return libvirt("internal error: unable to execute QEMU agent command '" + command + "': " + text);
}

bool allowed_while_frozen(const std::string& command) {
  return command == "guest-ping" || command == "guest-info" || command == "guest-sync" || command == "guest-sync-delimited" ||
         command == "guest-fsfreeze-status" || command == "guest-fsfreeze-thaw";
}

bool of_exec(const std::string& command) { return command == "guest-exec" || command == "guest-exec-status"; }

bool of_freeze(const std::string& command) { return command.rfind("guest-fsfreeze-", 0) == 0; }

}  // namespace

void Guests::agent_command(const kube::Name& name, const std::string& raw, const AgentReply& reply) {
  const base::Result<Value> request = json::parse(raw);
  const std::string command = request ? request->path({"execute"}).as_string() : "";
  if (command.empty()) return reply(agent_failed("", "Invalid JSON syntax"));
  const auto found = guests_.find(name);
  if (found == guests_.end() || found->second.paused) return reply(libvirt("Requested operation is not valid: domain is not running"));
  if (!found->second.agent) return reply(libvirt("Guest agent is not responding: QEMU guest agent is not connected"));
  if (knob(name, "agent", "connected").mode == "hung") {
    world_.timers.in(k_sync_wait, [reply] { reply(libvirt("Guest agent is not responding: Guest agent not available for now")); });
    return;
  }
  const std::string blocked = knob(name, "freeze-blocked", "false").mode;
  if (of_freeze(command) && blocked == "absent") return reply(agent_failed(command, "The command " + command + " has not been found"));
  if (of_freeze(command) && blocked == "true") {
    return reply(agent_failed(command, "Command " + command + " has been disabled: the command is not allowed"));
  }
  if (of_exec(command) && knob(name, "guest-exec", "ok").mode == "blocked") {
    return reply(agent_failed(command, "Command " + command + " has been disabled: the command is not allowed"));
  }
  if (found->second.frozen && !allowed_while_frozen(command)) {
    return reply(agent_failed(command, "Command " + command + " has been disabled: the agent is in frozen state"));
  }
  reply(agent_answer(name, found->second, command, request->path({"arguments"})));
}

base::Result<Value> Guests::agent_answer(const kube::Name& name, Guest& guest, const std::string& command, const Value& arguments) {
  if (command == "guest-ping" || command == "guest-sync" || command == "guest-sync-delimited") return Value::object();
  if (command == "guest-fsfreeze-status") return Value(guest.frozen ? "frozen" : "thawed");
  if (command == "guest-fsfreeze-freeze") {
    world_.happened("freeze-request", name.ns, name.name, "virsh");
    if (!guest.frozen) now_frozen(name, guest, base::Duration::zero());
    return Value(1);
  }
  if (command == "guest-fsfreeze-thaw") {
    world_.happened("thaw-request", name.ns, name.name, "virsh");
    // The timer of virt-launcher, if one runs, runs on.
    const std::optional<Timers::Id> safety = std::exchange(guest.safety, std::nullopt);
    if (guest.frozen) now_thawed(name, guest);
    guest.safety = safety;
    return Value(1);
  }
  if (command == "guest-info") {
    Value commands = Value::array();
    for (const char* each : {"guest-ping", "guest-info", "guest-exec", "guest-exec-status", "guest-fsfreeze-freeze", "guest-fsfreeze-thaw",
                             "guest-fsfreeze-status"}) {
      const bool enabled =
          (!of_exec(each) || knob(name, "guest-exec", "ok").mode != "blocked") && (!guest.frozen || allowed_while_frozen(each));
      commands.push_back(Value::object({{"name", each}, {"enabled", enabled}, {"success-response", true}}));
    }
    return Value::object({{"version", "9.1.0"}, {"supported_commands", commands}});
  }
  if (command == "guest-exec") return guest_exec(name, guest, arguments);
  if (command == "guest-exec-status") return guest_exec_status(guest, arguments);
  return agent_failed(command, "the stand-in does not play this command");
}

// The same programs as in tests/cluster/node/programs.go.
bool Guests::play(Guest& guest, const std::vector<std::string>& line, const Value& arguments, GuestProcess& process) {
  const base::TimePoint now = world_.clock.now();
  const std::string program = line[0].substr(line[0].rfind('/') + 1);
  const std::string word = line.size() > 1 ? line[1] : "";
  const auto length = [&line](std::size_t at) {
    const base::Result<base::Duration> given = line.size() > at ? base::parse_duration(line[at]) : base::Duration::zero();
    return given ? *given : base::Duration::zero();
  };
  process.ends = now;
  if (program == "true") return true;
  if (program == "false") {
    process.code = 1;
  } else if (program == "echo") {
    process.out = base::join({line.begin() + 1, line.end()}, " ") + "\n";
  } else if (program == "cat") {
    process.out = base::base64_decode(arguments.path({"input-data"}).as_string()).value();
  } else if (program == "printenv") {
    process.code = 1;
    for (const Value& variable : arguments.path({"env"}).items()) {
      if (variable.as_string().rfind(word + "=", 0) != 0) continue;
      process.code = 0;
      process.out = variable.as_string().substr(word.size() + 1) + "\n";
    }
  } else if (program == "sleep") {
    process.ends = now + length(1);
  } else if (program == "lock") {
    process.ends.reset();
    process.lock = word;
    process.locked = now + length(2);
  } else if (program == "locked" || program == "unlock") {
    process.code = program == "locked" ? 1 : 0;
    for (auto& [pid, other] : guest.processes) {
      if (other.lock != word || (other.ends && *other.ends <= now)) continue;
      if (program == "unlock") end_process(other);
      if (program == "locked" && other.locked <= now) process.code = 0;
    }
  } else if (program == "kill") {
    const auto found = guest.processes.find(std::atoi(word.c_str()));
    process.code = found == guest.processes.end() ? 1 : 0;
    if (found != guest.processes.end()) end_process(found->second);
  } else {
    return false;
  }
  return true;
}

void Guests::end_process(GuestProcess& process) const {
  process.ends = world_.clock.now();
  process.signal = 15;
}

base::Result<Value> Guests::guest_exec(const kube::Name& name, Guest& guest, const Value& arguments) {
  const std::string& path = arguments.path({"path"}).as_string();
  if (path.empty()) return agent_failed("guest-exec", "Parameter 'path' is missing");
  std::vector<std::string> line = {path};
  for (const Value& word : arguments.path({"arg"}).items()) line.push_back(word.as_string());
  const Knob how = knob(name, "guest-exec", "ok");
  if (path == "/missing") {
    return agent_failed("guest-exec",
                        "Guest agent command failed, error was 'Failed to execute child process \xe2\x80\x9c/missing"
                        "\xe2\x80\x9d (No such file or directory)'");
  }
  GuestProcess process;
  if (how.mode != "ok" || !play(guest, line, arguments, process)) {
    process = {};
    if (how.mode != "hang") process.ends = world_.clock.now();
    process.code = how.mode == "fail" ? std::max(how.count(1), 1) : 0;
    process.out = base::join(line, " ") + "\n";
  }
  if (!arguments.path({"capture-output"}).as_bool()) process.out.clear();
  const int pid = 1000 + ++guest.last_pid;
  guest.processes[pid] = process;
  world_.happened("guest-exec", name.ns, name.name, base::join(line, " "));
  return Value::object({{"pid", pid}});
}

base::Result<Value> Guests::guest_exec_status(Guest& guest, const Value& arguments) {
  const int pid = static_cast<int>(arguments.path({"pid"}).as_integer());
  const auto found = guest.processes.find(pid);
  if (found == guest.processes.end()) return agent_failed("guest-exec-status", "PID " + std::to_string(pid) + " does not exist");
  const GuestProcess& process = found->second;
  if (!process.ends || *process.ends > world_.clock.now()) return Value::object({{"exited", false}});
  Value status = Value::object({{"exited", true}});
  status.set(process.signal != 0 ? "signal" : "exitcode", process.signal != 0 ? process.signal : process.code);
  if (!process.out.empty()) status.set("out-data", base::base64_encode(process.out));
  guest.processes.erase(found);
  return status;
}

}  // namespace vmbackup::test
