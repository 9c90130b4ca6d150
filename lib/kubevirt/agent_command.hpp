// One command to a guest's agent, by virsh in its launcher pod: past KubeVirt's own state.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::kubevirt {

struct AgentCommand {
  std::string name;       // "guest-ping"
  json::Value arguments;  // null: none
  // The arguments hold what nobody else may read. argv of an exec is part of a URL, which servers write down, so the command then goes
  // through standard input: xargs, of the same image, hands it to virsh. [kubevirt 1.9.0, hack/rpm-deps.sh: findutils] That needs a server
  // that can end an input (Kubernetes 1.30 and later).
  bool secret = false;
  std::size_t most_bytes = std::size_t{64} << 10;  // of the answer
};

// Sends it once, never repeated, in container compute of `pod` (find_launcher_pod), and gives the `return` of the answer: untrusted, any
// JSON. No shell is between. An agent that does not answer is given up by libvirt after 5 s. Needs the right to get (Kubernetes 1.35 and
// later: and create) pods/exec. No message holds the arguments.
// Errors: not_found (no such pod, so the guest has moved or ended), forbidden, timeout, cancelled, unavailable (agent not connected or
// silent, command not allowed, guest paused or off, connection lost: libvirt's or the server's words; whether the agent acted is open),
// precondition (the agent or libvirt refused before anything was done; libvirt's words), invalid (the answer is none, or too long).
base::Result<json::Value> ask_agent(kube::Client& client, const VirtualMachineInstance& vmi, const kube::Name& pod,
                                    const AgentCommand& command, const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::kubevirt
