#include "kubevirt/freeze_probe.hpp"

#include <string>

#include "base/text.hpp"
#include "kubevirt/agent_command.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::kubevirt {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string what_of(const VirtualMachineInstance& vmi) { return describe(virtual_machine_instances(), {vmi.ns, vmi.name}); }

}  // namespace

Result<kube::Name> find_launcher_pod(kube::Client& client, const VirtualMachineInstance& vmi, const kube::Call& call,
                                     const std::stop_token& stop) {
  kube::ListOptions options;
  options.label_selector = "kubevirt.io/created-by=" + vmi.uid;
  const Result<kube::ObjectList> pods = client.list(kubevirt::pods(), vmi.ns, options, call, stop);
  if (!pods) return pods.error();
  std::string name;
  std::string newest;
  for (const json::Value& pod : pods->items) {
    const bool running = pod.path({"status", "phase"}).as_string() == "Running";
    const bool here = vmi.node.empty() || pod.path({"spec", "nodeName"}).as_string() == vmi.node;
    const std::string& created = pod.path({"metadata", "creationTimestamp"}).as_string();
    // RFC 3339 in UTC: the order of the texts is that of the times.
    if (!running || !here || created < newest) continue;
    newest = created;
    name = pod.path({"metadata", "name"}).as_string();
  }
  if (name.empty()) return Error(ErrorCode::not_found, "no virt-launcher pod of " + what_of(vmi) + " is running");
  return kube::Name{vmi.ns, name};
}

Result<FreezeState> probe_freeze_state(kube::Client& client, const VirtualMachineInstance& vmi, const kube::Name& pod,
                                       const kube::Call& call, const std::stop_token& stop) {
  const Result<json::Value> answer = ask_agent(client, vmi, pod, {.name = "guest-fsfreeze-status", .arguments = {}}, call, stop);
  // Of a state it does not matter who refused to say it.
  if (!answer) return answer.error().code() == ErrorCode::precondition ? answer.error().with_code(ErrorCode::unavailable) : answer.error();
  const std::string& state = answer->as_string();
  if (state == "frozen") return FreezeState::frozen;
  if (state == "thawed") return FreezeState::thawed;
  return Error(ErrorCode::invalid, "ask the guest agent of " + what_of(vmi) + ": the answer \"" +
                                       base::printable(json::dump(*answer), 100) + "\" is neither frozen nor thawed");
}

}  // namespace vmbackup::kubevirt
