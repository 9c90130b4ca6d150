#include "backup/letting_go.hpp"

#include <algorithm>

#include "base/backoff.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::ErrorCode;
using base::Result;
using kubevirt::VirtualMachineInstance;

constexpr base::Duration k_first_pause = std::chrono::milliseconds(200);
constexpr base::Duration k_most_pause = std::chrono::seconds(2);

}  // namespace

bool is_target(const VirtualMachineInstance& vmi, const GuardTarget& target) {
  return !vmi.final() && (target.vmi_uid.empty() || vmi.uid == target.vmi_uid);
}

bool LettingGo::persist(const base::Deadline& deadline, const std::function<bool()>& attempt) {
  base::Backoff pauses(k_first_pause, k_most_pause);
  while (!attempt()) {
    if (deadline.passed(clock_)) return false;
    const base::Duration pause = later_ ? k_most_pause : pauses.next();
    clock_.sleep_until(std::min(clock_.now() + pause, deadline.when()), {});
  }
  return true;
}

void LettingGo::again(const std::string& why) {
  if (why == last_) return;
  last_ = why;
  tell(again_, why);
}

void LettingGo::unclear(const base::Error& answer, const base::Deadline& deadline) {
  if (last_.empty() || !deadline.passed(clock_)) again(answer.message());
}

void LettingGo::tell(Event::Kind kind, const std::string& text) const {
  observer_.on({kind, target_.vm.ns, target_.vm.name, {}, {}, text, clock_.wall_now()});
}

Result<std::optional<VirtualMachineInstance>> LettingGo::instance() const {
  const kube::Call call{.deadline = base::Deadline::after(clock_, k_look_limit), .repeat = false};
  const Result<json::Value> object = client_.get(kubevirt::virtual_machine_instances(), target_.vm, call, {});
  if (!object.ok() && object.error().code() == ErrorCode::not_found) return std::optional<VirtualMachineInstance>();
  if (!object.ok()) return object.error();
  Result<VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(*object);
  if (!vmi.ok()) return vmi.error();
  if (!is_target(*vmi, target_)) return std::optional<VirtualMachineInstance>();
  return std::optional(std::move(*vmi));
}

}  // namespace vmbackup::backup
