#include "backup/plan_hold.hpp"

#include <chrono>
#include <utility>

#include "backup/guest_truth.hpp"
#include "backup/left_paused.hpp"
#include "backup/plan_disks.hpp"
#include "base/text.hpp"
#include "kube/access_review.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::VirtualMachineInstance;

std::optional<Error> hold_by_pause(const VirtualMachineInstance& vmi, const std::string& what, kubevirt::Hold hold, SnapshotPlan& plan,
                                   const SnapshotRequest& request) {
  if (vmi.migrating) return Error(ErrorCode::conflict, what + " cannot be paused: it is migrating");
  plan.hold = hold;
  plan.locks = true;
  plan.insists = true;
  plan.max_freeze = request.max_freeze.value_or(k_max_freeze);
  if (plan.snapshot.failure_deadline.empty()) plan.snapshot.failure_deadline = base::format_duration(k_failure_deadline_paused);
  return std::nullopt;
}

}  // namespace

bool insists(HoldWish wish) { return wish == HoldWish::freeze || pauses(wish); }
bool insists(const SnapshotRequest& request) { return insists(request.hold) || request.group; }
bool freezes(kubevirt::Hold hold) { return hold == kubevirt::Hold::freeze || hold == kubevirt::Hold::freeze_pause; }
bool pauses(HoldWish wish) { return wish == HoldWish::pause || wish == HoldWish::freeze_pause; }
bool pauses(kubevirt::Hold hold) { return hold == kubevirt::Hold::pause || hold == kubevirt::Hold::freeze_pause; }

Result<void> HoldPlanner::ask_rights(const std::map<kube::Name, VirtualMachineInstance>& running) {
  const kube::Resource resource = kubevirt::guest_subresources();
  for (const auto& [name, vmi] : running) {
    if (!vmi.agent_connected || lacking_.count(name.ns) > 0) continue;
    std::string& lacking = lacking_[name.ns];
    for (const char* what : {"unfreeze", "freeze"}) {
      const kube::Access access{"update", resource.group, resource.plural, what, name.ns};
      const Result<bool> allowed = kube::may(client_, access, call_, stop_);
      if (!allowed.ok()) return allowed.error();
      if (!*allowed && lacking.empty()) lacking = kube::describe(access);
    }
  }
  return {};
}

std::optional<Error> HoldPlanner::choose(const VirtualMachineInstance& vmi, const std::string& what, SnapshotPlan& plan) const {
  plan.hold = kubevirt::Hold::none;
  plan.target.windows = may_be_windows(vmi.guest_os_id);
  // Its snapshot is followed as it is, and the VM let go after that.
  if (left_paused(plan, request_.run)) return std::nullopt;
  if (!plan.paused_by.empty() && pauses(request_.hold)) {
    return Error(ErrorCode::precondition, what + " is still paused by run " + plan.paused_by + " of this tool",
                 "let it run with: " + thaw_command(plan.target.vm));
  }
  if (vmi.paused && pauses(request_.hold)) {
    return Error(ErrorCode::precondition, what + " is paused already, by somebody else: it is not ours to let it run",
                 "take the snapshot as it stands, with --hold controller");
  }
  if (request_.hold == HoldWish::pause) return hold_by_pause(vmi, what, kubevirt::Hold::pause, plan, request_);
  if (vmi.paused) return Error(ErrorCode::precondition, what + " cannot be frozen: it is paused, so that its agent cannot answer");
  if (!vmi.agent_connected) {
    return Error(ErrorCode::precondition, what + " cannot be frozen: no guest agent is connected",
                 "install and start qemu-guest-agent in the guest");
  }
  plan.hold = kubevirt::Hold::controller;
  std::optional<Error> disabled = ask_agent(vmi, what, plan);
  const auto lacking = lacking_.find(vmi.ns);
  plan.may_thaw = lacking != lacking_.end() && lacking->second.empty();
  if (request_.hold == HoldWish::controller) return std::nullopt;
  if (vmi.migrating) return Error(ErrorCode::conflict, what + " cannot be frozen: it is migrating");
  if (!plan.may_thaw) {
    plan.warnings.push_back("you may not " + lacking->second + ": the freeze is left to KubeVirt");
    return Error(ErrorCode::forbidden, what + " cannot be frozen: you may not " + lacking->second + " in namespace " + vmi.ns,
                 "KubeVirt's role edit has that right; the smallest one is packaging/rbac/vmbackup-freeze.yaml");
  }
  if (disabled) {
    plan.warnings.push_back(disabled->message());
    return disabled;
  }
  if (request_.hold == HoldWish::freeze_pause) {
    if (std::optional<Error> refusal = hold_by_pause(vmi, what, kubevirt::Hold::freeze_pause, plan, request_)) return refusal;
  } else {
    plan.hold = kubevirt::Hold::freeze;
    plan.insists = insists(request_);
    plan.locks = request_.group;
  }
  plan.probe = request_.probe;
  plan.max_freeze = request_.max_freeze.value_or(plan.target.windows ? k_max_freeze_windows : k_max_freeze);
  plan.safety_timeout = std::chrono::ceil<std::chrono::seconds>(plan.max_freeze) + k_safety_margin;
  return std::nullopt;
}

void leave_freeze_to_kubevirt(SnapshotPlan& plan) {
  if (plan.hold != kubevirt::Hold::freeze || plan.insists) return;
  plan.hold = kubevirt::Hold::controller;
  plan.probe = false;
  plan.max_freeze = {};
  plan.safety_timeout = {};
  plan.warnings.emplace_back("the freeze is left to KubeVirt: a guest that we froze would stand still while it waits");
}

// Its system, its file systems, and whether it lets itself be frozen: why it does not.
std::optional<Error> HoldPlanner::ask_agent(const VirtualMachineInstance& vmi, const std::string& what, SnapshotPlan& plan) const {
  const kube::Call once{.deadline = call_.deadline, .repeat = false};
  Result<kubevirt::GuestInfo> info = kubevirt::guest_info(client_, {vmi.ns, vmi.name}, once, stop_);
  if (!info.ok()) {
    plan.warnings.push_back("what the guest agent says of the guest is not known: " + info.error().message());
    return std::nullopt;
  }
  if (!info->os_id.empty()) plan.guest_os = info->os_id;
  plan.target.windows = may_be_windows(plan.guest_os);
  // A guest of many disks: its list of file systems was cut short.
  if (!info->file_systems.list.empty() && !info->file_systems.whole) {
    Result<kubevirt::FileSystems> all = kubevirt::file_systems(client_, {vmi.ns, vmi.name}, once, stop_);
    if (all.ok()) info->file_systems = std::move(*all);
  }
  add_reach(vmi, *info, plan);
  if (info->disabled.empty()) return std::nullopt;
  return Error(ErrorCode::precondition, what + " cannot be frozen: its agent lacks or does not allow " + base::join(info->disabled, ", "),
               "allow these commands in the guest's qemu-ga configuration (block-rpcs, allow-rpcs), and restart the agent");
}

}  // namespace vmbackup::backup
