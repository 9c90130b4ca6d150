#include "kubevirt/agent_command.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::kubevirt {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// xargs asks the system how long a line may be, and never allows more than this for one word. [linux, MAX_ARG_STRLEN]
constexpr std::size_t k_most_input = std::size_t{120} << 10;

// The agent answered that it does nothing of the kind, or libvirt did not ask it. [qemu, qapi/qmp-dispatch.c; libvirt,
// src/qemu/qemu_agent.c, qemu_driver.c]
bool surely_not_done(std::string_view words) {
  constexpr std::array<std::string_view, 5> k_words = {"has been disabled", "has not been found", "domain is not running",
                                                       "QEMU guest agent is not connected", "failed to get domain"};
  return std::any_of(k_words.begin(), k_words.end(), [&](std::string_view word) { return words.find(word) != std::string_view::npos; });
}

}  // namespace

Result<json::Value> ask_agent(kube::Client& client, const VirtualMachineInstance& vmi, const kube::Name& pod, const AgentCommand& command,
                              const kube::Call& call, const std::stop_token& stop) {
  const std::string what = "ask the guest agent of " + describe(virtual_machine_instances(), {vmi.ns, vmi.name});
  json::Value document = json::Value::object({{"execute", command.name}});
  if (!command.arguments.is_null()) document.set("arguments", command.arguments);
  // The domain's name. [kubevirt 1.9.0, pkg/virt-launcher/virtwrap/util/libvirt_helper.go: DomainFromNamespaceName]
  kube::ExecCommand exec{.container = "compute",
                         .argv = {"virsh", "qemu-agent-command", vmi.ns + "_" + vmi.name},
                         .input = {},
                         .most_bytes = command.most_bytes};
  if (command.secret) {
    exec.argv.insert(exec.argv.begin(), {"xargs", "-0"});
    exec.input = json::dump(document) + '\0';
    if (exec.input->size() > k_most_input) return Error(ErrorCode::usage, what + ": the command is too long");
  } else {
    exec.argv.push_back(json::dump(document));
  }
  const Result<kube::ExecEnd> end = client.exec(pod, exec, call, stop);
  if (!end) return end.error().wrap(what);
  if (end->exit_code != 0) {
    std::string_view words = base::trim(end->err);
    if (words.substr(0, 7) == "error: ") words.remove_prefix(7);
    const ErrorCode code = surely_not_done(words) ? ErrorCode::precondition : ErrorCode::unavailable;
    return Error(
        code, what + ": " + (words.empty() ? "virsh ended with exit code " + std::to_string(end->exit_code) : base::printable(words, 300)));
  }
  const Result<json::Value> answer = json::parse(end->out, command.most_bytes);
  const json::Value* result = answer ? answer->find("return") : nullptr;
  if (result == nullptr) return Error(ErrorCode::invalid, what + ": its answer to " + command.name + " is none");
  return *result;
}

}  // namespace vmbackup::kubevirt
