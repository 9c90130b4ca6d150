#include "backup/snapshot_event.hpp"

#include <algorithm>

#include "backup/run_id.hpp"
#include "kube/event.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::ErrorCode;

// An event is not worth more waiting than this.
constexpr base::Duration k_limit = std::chrono::seconds(5);

bool outcome_known(const SnapshotItem& item) {
  if (!item.error) return item.outcome == Outcome::done && item.phase == "Succeeded";
  return item.error->code() != ErrorCode::cancelled && item.error->code() != ErrorCode::timeout;
}

std::string message_of(const SnapshotItem& item) {
  const std::string run = item.run.empty() ? "" : " (run " + item.run + ")";
  if (item.error) return "snapshot " + item.name + run + ": " + item.error->message();
  const auto included = std::count_if(item.disks.begin(), item.disks.end(), [](const DiskReport& disk) { return disk.included; });
  return "snapshot " + item.name + run + " holds " + std::to_string(included) + (included == 1 ? " disk" : " disks") +
         (item.ready_to_use ? " and is ready to use" : "") + (item.complete ? "" : "; it is incomplete");
}

}  // namespace

base::Result<void> tell_on_vm(kube::Client& client, base::Clock& clock, const SnapshotPlan& plan, const SnapshotItem& item,
                              const base::Deadline& deadline, const std::stop_token& stop) {
  if (!outcome_known(item)) return {};
  const kube::Resource vms = kubevirt::virtual_machines();
  const kube::NewEvent event{.api_version = vms.group + "/" + vms.version,
                             .kind = vms.kind,
                             .about = {plan.snapshot.ns, plan.snapshot.vm},
                             .uid = plan.vm_uid,
                             .warning = item.error.has_value(),
                             .reason = item.error ? "SnapshotFailed" : "SnapshotSucceeded",
                             .message = message_of(item),
                             .component = k_managed_by,
                             .now = clock.wall_now()};
  return kube::create_event(client, event, {.deadline = base::Deadline::after(clock, k_limit).sooner(deadline), .repeat = false}, stop);
}

}  // namespace vmbackup::backup
