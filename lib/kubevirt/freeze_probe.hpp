// Asks a guest's agent itself whether its file systems are frozen, past KubeVirt's own state, which lags by up to five seconds.
#pragma once

#include <stop_token>

#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::kubevirt {

// The pod that runs the guest now: the newest of the VMI's virt-launcher pods on its node, so the source while a migration runs. The name
// stays right until the guest moves or ends; look again after not_found. Needs the right to list pods.
// [kubevirt 1.9.0, pkg/controller/controller.go: CurrentVMIPod; pkg/virt-controller/services/template.go: label created-by]
// Errors as kube::Client::list; not_found also where no such pod runs.
base::Result<kube::Name> find_launcher_pod(kube::Client& client, const VirtualMachineInstance& vmi, const kube::Call& call,
                                           const std::stop_token& stop);

enum class FreezeState { thawed, frozen };

// The agent's own word, by `virsh qemu-agent-command` in container compute of that pod. One exec, never repeated; an agent that does not
// answer is given up by libvirt after 5 s. Needs the right to get (Kubernetes 1.35 and later: and create) pods/exec.
// An error means that the state is not known; its code and message say why: not_found (no such pod, so the guest has moved or ended),
// forbidden, timeout, cancelled, unavailable (agent not connected or silent, guest paused or off, connection lost: libvirt's or the
// server's words), invalid (the answer is none).
base::Result<FreezeState> probe_freeze_state(kube::Client& client, const VirtualMachineInstance& vmi, const kube::Name& pod,
                                             const kube::Call& call, const std::stop_token& stop);

}  // namespace vmbackup::kubevirt
