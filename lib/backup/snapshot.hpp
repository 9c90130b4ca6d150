// Taking one VirtualMachineSnapshot: look, plan, create, follow to an end.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "backup/events.hpp"
#include "backup/report.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"
#include "kubevirt/vm_snapshot.hpp"

namespace vmbackup::backup {

// How far a wait goes. `cut`: phase Succeeded, all disks are cut. `ready`: readyToUse as well.
enum class WaitFor { ready, cut, none };

struct SnapshotRequest {
  std::string ns;
  std::string vm;
  std::string run;                                 // run id, see run_id.hpp
  std::string name;                                // object name; "" = made from VM and run
  std::optional<base::Duration> failure_deadline;  // at least 1 s; none: KubeVirt's 5m
  std::string deletion_policy;                     // "" = KubeVirt's Delete
};

// What will be done, computed before anything is changed; printable, comparable; the whole content of --dry-run.
struct SnapshotPlan {
  kubevirt::NewVmSnapshot snapshot;
  std::string api_version;  // of snapshot.kubevirt.io
  std::string vm_uid;
  bool running = false;
  std::optional<bool> agent_connected;  // none: not running, or VirtualMachineInstances may not be read
  bool paused = false;
  std::vector<DiskReport> disks;      // included = KubeVirt is expected to include it
  std::vector<std::string> warnings;  // one sentence each
  bool complete() const;
};

// Reads the API versions, the VM and its instance. Sends nothing that changes anything.
// not_found: no such VM (with "did you mean"); precondition: no snapshot API, no disk can be snapshotted, more than one VolumeSnapshotClass
// fits, the VM is being deleted; conflict: another snapshot or a restore of this VM is under way; else what the client says.
base::Result<SnapshotPlan> plan_snapshot(kube::Client& client, const SnapshotRequest& request, const base::Deadline& deadline,
                                         const std::stop_token& stop);

// Sends the create with server-side dry run. The same errors as the create of take_snapshot.
base::Result<void> rehearse_snapshot(kube::Client& client, const SnapshotPlan& plan, const base::Deadline& deadline,
                                     const std::stop_token& stop);

// Creates the planned snapshot and follows it to `wait`. Never fails as a call: the item holds the outcome, with item.error
//   already_exists  the name is taken, by us or by others (said which); nothing was created
//   internal        Failed, or Succeeded with no disk in it; message holds the cause as last seen
//   not_found       deleted by someone while we waited, or replaced under the same name
//   timeout         the deadline passed, the object still exists; cancelled: stop was requested
//   or what the client said. Where the object was left behind, item.left names it with its state.
// Stop and deadline end the wait only: KubeVirt goes on by itself, and thaws the guest itself.
SnapshotItem take_snapshot(kube::Client& client, base::Clock& clock, Observer& observer, const SnapshotPlan& plan, WaitFor wait,
                           const base::Deadline& deadline, const std::stop_token& stop);

// The plan as a report item (outcome planned), for --dry-run.
SnapshotItem item_of(const SnapshotPlan& plan);

}  // namespace vmbackup::backup
