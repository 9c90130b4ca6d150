#include "kubevirt/guest_exec.hpp"

#include <algorithm>
#include <string_view>

#include "base/backoff.hpp"
#include "base/text.hpp"
#include "json/reader.hpp"
#include "kubevirt/agent_command.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::kubevirt {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// What libvirt's protocol carries at the most. [libvirt, src/remote/remote_protocol.x: REMOTE_STRING_MAX]
constexpr std::size_t k_most_answer = (std::size_t{4} << 20) + (std::size_t{64} << 10);
// libvirt gives an agent that does not answer up after 5 s.
constexpr base::Duration k_answer_limit = std::chrono::seconds(10);
constexpr base::Duration k_first_pause = std::chrono::milliseconds(100);
constexpr base::Duration k_most_pause = std::chrono::seconds(1);
constexpr const char* k_exec = "guest-exec";
constexpr const char* k_status = "guest-exec-status";

json::Value list_of(const std::vector<std::string>& words, std::size_t from) {
  json::Value list = json::Value::array();
  for (std::size_t i = from; i < words.size(); ++i) list.push_back(words[i]);
  return list;
}

std::string command_of(const GuestCommand& command) { return "run " + base::printable(command.argv.front(), 100) + " in the guest"; }

kube::Call one_call(base::Clock& clock, const base::Deadline& deadline) {
  return {.deadline = base::Deadline::after(clock, k_answer_limit).sooner(deadline), .repeat = false};
}

// An exit status of Windows has 32 bits; where a crash ended the process, the agent gives that as a signal.
int exit_code_of(std::int64_t code) { return code >= 0 && code <= 0x7fffffff ? static_cast<int>(code) : -1; }

Result<std::string> data_of(const json::Reader& root, const char* key) {
  Result<std::string> bytes = base::base64_decode(root.string(key));
  if (!bytes) return Error(ErrorCode::invalid, std::string("the agent's ") + key + " is not base64");
  return bytes;
}

bool worth_asking_again(const Error& error) {
  return error.code() == ErrorCode::unavailable || error.code() == ErrorCode::precondition || error.code() == ErrorCode::timeout;
}

// The commands among both that a list of {name, enabled} does not allow.
std::vector<std::string> not_allowed(const json::Value& commands) {
  std::vector<std::string> missing;
  for (const char* needed : {k_exec, k_status}) {
    const json::Array& all = commands.items();
    const bool there = std::any_of(all.begin(), all.end(), [needed](const json::Value& command) {
      return command.path({"name"}).as_string() == needed && command.path({"enabled"}).as_bool();
    });
    if (!there) missing.emplace_back(needed);
  }
  return missing;
}

}  // namespace

Result<std::int64_t> start_in_guest(kube::Client& client, const GuestPlace& place, const GuestCommand& command, const kube::Call& call,
                                    const std::stop_token& stop) {
  if (command.argv.empty() || command.argv.front().empty()) return Error(ErrorCode::usage, "run a command in the guest: there is none");
  json::Value arguments = json::Value::object({{"path", command.argv.front()}, {"capture-output", command.capture}});
  if (command.argv.size() > 1) arguments.set("arg", list_of(command.argv, 1));
  if (!command.environment.empty()) arguments.set("env", list_of(command.environment, 0));
  if (command.input) arguments.set("input-data", base::base64_encode(*command.input));
  const Result<json::Value> answer =
      ask_agent(client, place.vmi, place.pod, {.name = k_exec, .arguments = arguments, .secret = command.secret}, call, stop);
  if (!answer) return answer.error().wrap(command_of(command));
  const json::Value& pid = answer->path({"pid"});
  if (!pid.is_integer() || pid.as_integer() <= 0) {
    return Error(ErrorCode::invalid, command_of(command) + ": the agent's answer to guest-exec names no process");
  }
  return pid.as_integer();
}

Result<GuestProcess> decode_guest_process(const json::Value& answer) {
  const json::Reader root(answer, "the agent's answer to " + std::string(k_status));
  const std::optional<bool> ended = root.optional_bool("exited");
  const std::optional<std::int64_t> code = root.optional_integer("exitcode");
  const std::optional<std::int64_t> signal = root.optional_integer("signal");
  const Result<std::string> out = data_of(root, "out-data");
  const Result<std::string> err = data_of(root, "err-data");
  if (std::optional<Error> error = root.error()) return *error;
  if (!ended) return Error(ErrorCode::invalid, "the agent does not say whether it has ended");
  if (!out) return out.error();
  if (!err) return err.error();
  GuestProcess process{*ended, 0, *out, *err};
  if (!process.ended) return process;
  if (!code && !signal) return Error(ErrorCode::invalid, "the agent does not say how it ended");
  process.exit_code = code ? exit_code_of(*code) : *signal > 0 && *signal < 128 ? 128 + static_cast<int>(*signal) : -1;
  return process;
}

Result<GuestProcess> look_in_guest(kube::Client& client, const GuestPlace& place, std::int64_t pid, const kube::Call& call,
                                   const std::stop_token& stop) {
  const std::string what = "look at process " + std::to_string(pid) + " in the guest";
  const AgentCommand command{.name = k_status, .arguments = json::Value::object({{"pid", pid}}), .most_bytes = k_most_answer};
  const Result<json::Value> answer = ask_agent(client, place.vmi, place.pod, command, call, stop);
  if (!answer) {
    // [qemu, qga/commands.c: qmp_guest_exec_status; error.h: QERR_INVALID_PARAMETER]
    const std::string& words = answer.error().message();
    const bool forgotten = words.find("Invalid parameter 'pid'") != std::string::npos ||
                           (words.find("PID") != std::string::npos && words.find("does not exist") != std::string::npos);
    return (forgotten ? answer.error().with_code(ErrorCode::not_found) : answer.error()).wrap(what);
  }
  const Result<GuestProcess> process = decode_guest_process(*answer);
  if (!process) return process.error().wrap(what);
  return process;
}

Result<GuestProcess> run_in_guest(kube::Client& client, base::Clock& clock, const GuestPlace& place, const GuestCommand& command,
                                  const base::Deadline& deadline, const std::stop_token& stop) {
  const Result<std::int64_t> pid = start_in_guest(client, place, command, one_call(clock, deadline), stop);
  if (!pid) return pid.error();
  const std::string left = command_of(command) + ": process " + std::to_string(*pid) + " may still run there";
  base::Backoff pauses(k_first_pause, k_most_pause);
  std::string silent;
  for (;;) {
    if (!clock.sleep_until(std::min(clock.now() + pauses.next(), deadline.when()), stop)) {
      return Error(ErrorCode::cancelled, left + ": interrupted");
    }
    const Result<GuestProcess> process = look_in_guest(client, place, *pid, one_call(clock, deadline), stop);
    if (process && process->ended) return process;
    if (stop.stop_requested()) return Error(ErrorCode::cancelled, left + ": interrupted");
    if (!process && !worth_asking_again(process.error())) return process.error().wrap(command_of(command));
    // At the deadline it was asked, so what is said of the time is true.
    if (process) silent.clear();
    if (!process && !deadline.passed(clock)) silent = process.error().message();
    if (deadline.passed(clock)) {
      return Error(ErrorCode::timeout, left + (silent.empty() ? ": it did not end in time" : ": " + silent));
    }
  }
}

Result<void> check_guest_exec(kube::Client& client, const GuestPlace& place, const kube::Call& call, const std::stop_token& stop) {
  const kube::Name name{place.vmi.ns, place.vmi.name};
  const Result<json::Value> told = client.get_subresource(guest_subresources(), name, "guestosinfo", call, stop);
  if (!told) return told.error();
  if (not_allowed(told->path({"supportedCommands"})).empty()) return {};
  const AgentCommand ask{.name = "guest-info", .arguments = {}, .most_bytes = std::size_t{1} << 20};
  const Result<json::Value> answer = ask_agent(client, place.vmi, place.pod, ask, call, stop);
  if (!answer) return answer.error();
  const std::vector<std::string> missing = not_allowed(answer->path({"supported_commands"}));
  if (missing.empty()) return {};
  return Error(ErrorCode::precondition,
               "the guest agent of " + describe(virtual_machine_instances(), name) + " does not allow " + base::join(missing, " and "),
               "allow them in the guest: block-rpcs, allow-rpcs or FILTER_RPC_ARGS of qemu-ga (/etc/sysconfig/qemu-ga, "
               "/etc/qemu/qemu-ga.conf), then restart it");
}

}  // namespace vmbackup::kubevirt
