#include "kubevirt/freeze_probe.hpp"

#include <string>

#include "base/text.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::kubevirt {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t k_most_answer = std::size_t{64} << 10;

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
  const std::string what = "ask the guest agent of " + what_of(vmi);
  kube::ExecCommand command;
  command.container = "compute";
  // The domain's name. [kubevirt 1.9.0, pkg/virt-launcher/virtwrap/util/libvirt_helper.go: DomainFromNamespaceName]
  command.argv = {"virsh", "qemu-agent-command", vmi.ns + "_" + vmi.name, R"({"execute":"guest-fsfreeze-status"})"};
  command.most_bytes = k_most_answer;
  const Result<kube::ExecEnd> end = client.exec(pod, command, call, stop);
  if (!end) return end.error().wrap(what);
  if (end->exit_code != 0) {
    std::string_view words = base::trim(end->err);
    if (words.substr(0, 7) == "error: ") words.remove_prefix(7);
    return Error(
        ErrorCode::unavailable,
        what + ": " + (words.empty() ? "virsh ended with exit code " + std::to_string(end->exit_code) : base::printable(words, 300)));
  }
  const Result<json::Value> answer = json::parse(end->out);
  const std::string state = answer ? answer->path({"return"}).as_string() : "";
  if (state == "frozen") return FreezeState::frozen;
  if (state == "thawed") return FreezeState::thawed;
  return Error(ErrorCode::invalid,
               what + ": the answer \"" + base::printable(base::trim(end->out), 100) + "\" is neither frozen nor thawed");
}

}  // namespace vmbackup::kubevirt
