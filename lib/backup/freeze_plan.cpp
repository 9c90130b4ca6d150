// The look before the freeze.
#include <algorithm>

#include "backup/freeze.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "kube/access_review.hpp"
#include "kubevirt/guest_control.hpp"
#include "kubevirt/resources.hpp"
#include "kubevirt/velero.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::VirtualMachine;
using kubevirt::VirtualMachineInstance;

constexpr std::size_t k_at_once = 16;
constexpr base::Duration k_look_again = std::chrono::milliseconds(500);

std::string vm_text(const VirtualMachine& vm) { return kubevirt::describe(kubevirt::virtual_machines(), {vm.ns, vm.name}); }

Error busy_with(const VirtualMachine& vm, const std::string& work, const std::string& hint) {
  return Error(ErrorCode::conflict, vm_text(vm) + " is not frozen: " + work, hint);
}

std::optional<Error> refuse_vm(const VirtualMachine& vm) {
  if (vm.deleting) return Error(ErrorCode::precondition, vm_text(vm) + " is not frozen: it is being deleted");
  if (!vm.snapshot_in_progress.empty()) {
    return busy_with(vm, "snapshot " + vm.snapshot_in_progress + " of it is under way",
                     "wait for it with: kubectl vmbackup wait vmsnapshot/" + vm.snapshot_in_progress + " -n " + vm.ns + " --for cut");
  }
  if (!vm.restore_in_progress.empty()) {
    return busy_with(vm, "it is being restored by VirtualMachineRestore " + vm.restore_in_progress,
                     "look at it with: kubectl get virtualmachinerestore " + vm.restore_in_progress + " -n " + vm.ns);
  }
  return std::nullopt;
}

std::optional<Error> refuse_instance(const VirtualMachine& vm, const VirtualMachineInstance& vmi) {
  const std::string look = "look at it with: kubectl get virtualmachineinstance " + vm.name + " -n " + vm.ns;
  if (vmi.phase != "Running" || vmi.deleting) {
    return Error(ErrorCode::precondition,
                 vm_text(vm) + " is not frozen: its instance is " + (vmi.deleting ? "being deleted" : "in phase " + vmi.phase), look);
  }
  if (vmi.paused) {
    return Error(ErrorCode::precondition, vm_text(vm) + " is not frozen: it is paused, so that its agent cannot answer",
                 "nothing runs in it while it is paused; let it run with: virtctl unpause vm " + vm.name + " -n " + vm.ns);
  }
  if (!vmi.agent_connected) {
    return Error(ErrorCode::precondition, vm_text(vm) + " is not frozen: no guest agent is connected",
                 "install and start qemu-guest-agent in the guest");
  }
  if (vmi.migrating) return busy_with(vm, "it is migrating", look);
  if (!vmi.backup_in_progress.empty()) return busy_with(vm, "VirtualMachineBackup " + vmi.backup_in_progress + " of it is under way", look);
  return std::nullopt;
}

// A guest that is called frozen, once more until the status must be fresh.
Result<VirtualMachineInstance> settled_instance(kube::Client& client, base::Clock& clock, VirtualMachineInstance vmi,
                                                const base::Deadline& deadline, const std::stop_token& stop) {
  const base::Deadline fresh = base::Deadline::after(clock, k_status_fresh).sooner(deadline);
  while (vmi.fs_freeze_status == "frozen" && !fresh.passed(clock)) {
    if (!clock.sleep_until(clock.now() + k_look_again, stop)) return Error(ErrorCode::cancelled, "interrupted");
    const Result<json::Value> object = client.get(kubevirt::virtual_machine_instances(), {vmi.ns, vmi.name}, {.deadline = deadline}, stop);
    if (!object.ok()) return object.error();
    Result<VirtualMachineInstance> again = kubevirt::decode_virtual_machine_instance(*object);
    if (!again.ok()) return again.error();
    vmi = std::move(*again);
  }
  return vmi;
}

class Planner {
 public:
  Planner(kube::Client& client, base::Clock& clock, const FreezeRequest& request, const base::Deadline& deadline,
          const std::stop_token& stop)
      : client_(client), clock_(clock), request_(request), deadline_(deadline), stop_(stop) {}

  void plan(const VirtualMachine& vm, const VirtualMachineInstance& seen, GuestPlan& plan) const {
    plan.target = {{vm.ns, vm.name}, vm.uid, seen.uid, may_be_windows(seen.guest_os_id), seen.node};
    plan.refusal = refuse_vm(vm);
    if (!plan.refusal) plan.refusal = refuse_instance(vm, seen);
    if (plan.refusal) return;
    const Result<VirtualMachineInstance> vmi = settled_instance(client_, clock_, seen, deadline_, stop_);
    if (!vmi.ok()) {
      plan.refusal = vmi.error();
    } else if (vmi->fs_freeze_status == "frozen") {
      plan.refusal =
          busy_with(vm, "it is frozen already, by somebody else or by an earlier run", "let it go with: " + thaw_command(plan.target.vm));
    } else {
      ask_agent(vm, plan);
    }
  }

 private:
  void ask_agent(const VirtualMachine& vm, GuestPlan& plan) const {
    const Result<kubevirt::GuestInfo> info = kubevirt::guest_info(client_, plan.target.vm, {.deadline = deadline_, .repeat = false}, stop_);
    if (!info.ok()) {
      plan.warnings.push_back("what its agent allows is not known: " + info.error().message());
    } else if (!info->disabled.empty()) {
      plan.refusal = Error(ErrorCode::precondition,
                           vm_text(vm) + " is not frozen: its agent lacks or does not allow " + base::join(info->disabled, ", "),
                           "allow these commands in the guest's qemu-ga configuration (block-rpcs, allow-rpcs), and restart the agent");
    } else {
      plan.target.windows = may_be_windows(info->os_id);
    }
    if (plan.target.windows && request_.safety_timeout > k_vss_limit) {
      plan.warnings.push_back(info.ok() && !info->os_id.empty()
                                  ? "Windows (VSS) lets go of its file systems 10s after the freeze, whatever the safety timeout"
                                  : "the guest OS is not known; if it is Windows, it lets go of its file systems 10s after the freeze");
    }
  }

  kube::Client& client_;
  base::Clock& clock_;
  const FreezeRequest& request_;
  const base::Deadline& deadline_;
  const std::stop_token& stop_;
};

std::vector<std::string> spaces_of(const std::vector<VirtualMachine>& vms) {
  std::vector<std::string> spaces;
  for (const VirtualMachine& vm : vms) {
    if (std::find(spaces.begin(), spaces.end(), vm.ns) == spaces.end()) spaces.push_back(vm.ns);
  }
  return spaces;
}

// A guest that we could freeze and not thaw must not be frozen.
Result<void> check_rights(kube::Client& client, const std::vector<VirtualMachine>& vms, const kube::Call& call,
                          const std::stop_token& stop) {
  const kube::Resource resource = kubevirt::guest_subresources();
  for (const std::string& ns : spaces_of(vms)) {
    for (const char* what : {"unfreeze", "freeze"}) {
      const kube::Access access{"update", resource.group, resource.plural, what, ns};
      const Result<bool> allowed = kube::may(client, access, call, stop);
      if (!allowed.ok()) return allowed.error();
      if (*allowed) continue;
      return Error(ErrorCode::forbidden, "nothing was frozen: you may not " + kube::describe(access) + " in namespace " + ns,
                   "KubeVirt's role edit has that right; the smallest one is packaging/rbac/vmbackup-freeze.yaml");
    }
  }
  return {};
}

// Velero's hooks freeze and thaw the guests of a backup by themselves; which of them are under way is only known where Backups may be read.
void warn_of_velero(kube::Client& client, const std::vector<VirtualMachine>& vms, FreezePlan& plan, const kube::Call& call,
                    const std::stop_token& stop) {
  const Result<std::vector<std::string>> busy = kubevirt::velero_backups_of(client, spaces_of(vms), call, stop);
  if (!busy.ok()) return;
  for (const std::string& backup : *busy) {
    plan.warnings.push_back("the Velero backup " + backup + " is under way and takes in these VMs: its hooks freeze and thaw them as well");
  }
}

}  // namespace

bool FreezePlan::refused() const {
  const auto is_refused = [](const GuestPlan& guest) { return guest.refusal.has_value(); };
  return group ? std::any_of(guests.begin(), guests.end(), is_refused) : std::all_of(guests.begin(), guests.end(), is_refused);
}

Result<FreezePlan> plan_freeze(kube::Client& client, base::Clock& clock, const FreezeRequest& request, const base::Deadline& deadline,
                               const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  Result<Selected> selected = select_vms(client, request.selection, call, stop);
  if (!selected.ok()) return selected.error();
  FreezePlan plan{request.run, request.group, request.safety_timeout, request.lock, request.probe, {}, std::move(selected->passed_over),
                  {}};
  if (selected->vms.empty()) return plan;
  if (Result<void> allowed = check_rights(client, selected->vms, call, stop); !allowed.ok()) return allowed.error();
  const auto instances = instances_of(client, selected->vms, call, stop);
  if (!instances.ok()) return instances.error();
  warn_of_velero(client, selected->vms, plan, {.deadline = deadline, .repeat = false}, stop);

  const Planner planner(client, clock, request, deadline, stop);
  std::vector<std::size_t> running;
  for (std::size_t i = 0; i < selected->vms.size(); ++i) {
    const VirtualMachine& vm = selected->vms[i];
    if ((*instances)[i]) {
      running.push_back(i);
    } else if (request.selection.names.empty()) {
      plan.passed_over.push_back({{vm.ns, vm.name}, "it is not running", true});
    } else {
      GuestPlan refused;
      refused.target.vm = {vm.ns, vm.name};
      refused.refusal = Error(ErrorCode::precondition, vm_text(vm) + " is not frozen: it is not running, there is nothing to freeze");
      plan.guests.push_back(std::move(refused));
    }
  }
  std::vector<GuestPlan> planned(running.size());
  base::for_each_parallel(running.size(), k_at_once,
                          [&](std::size_t i) { planner.plan(selected->vms[running[i]], *(*instances)[running[i]], planned[i]); });
  for (GuestPlan& guest : planned) plan.guests.push_back(std::move(guest));
  std::sort(plan.guests.begin(), plan.guests.end(), [](const GuestPlan& a, const GuestPlan& b) { return a.target.vm < b.target.vm; });
  return plan;
}

}  // namespace vmbackup::backup
