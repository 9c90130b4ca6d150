// Taking VirtualMachineSnapshots, of one VM or of thousands: look, plan, hold the guests, create, follow to an end, keep the evidence.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "backup/ground.hpp"
#include "backup/lock.hpp"
#include "backup/recipe_step.hpp"
#include "backup/report.hpp"
#include "backup/select.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kubevirt/evidence.hpp"
#include "kubevirt/vm_snapshot.hpp"

namespace vmbackup::backup {

// How far a wait goes. `cut`: phase Succeeded, all disks are cut. `ready`: readyToUse as well.
enum class WaitFor { ready, cut, none };

// Who is to make a running guest stand still. automatic: freeze where an agent is connected and we may freeze and thaw, else controller.
enum class HoldWish { automatic, controller, freeze, pause, freeze_pause };
bool insists(HoldWish wish);  // nobody else is to do it
bool pauses(HoldWish wish);
// What we do ourselves.
bool freezes(kubevirt::Hold hold);
bool pauses(kubevirt::Hold hold);

// A VM that was paused cannot be let run while KubeVirt works on its snapshot, so that may not take as long as otherwise.
inline constexpr base::Duration k_failure_deadline_paused = std::chrono::seconds(60);

// How long a guest stands still at the most before its snapshot is given up: a freeze of Windows is over after 10 s whatever we do.
inline constexpr base::Duration k_max_freeze_windows = std::chrono::seconds(10);
inline constexpr base::Duration k_max_freeze = std::chrono::seconds(60);
// By how much the safety timer outlasts that: the time that giving up may take.
inline constexpr std::chrono::seconds k_safety_margin{10};

// One of `of` parts of all VMs, from 1. The same VM is always in the same part, whatever others there are.
struct Shard {
  std::uint32_t number = 1;
  std::uint32_t of = 1;
};
bool is_in(const kube::Name& vm, const Shard& shard);

struct SnapshotRequest {
  Selection selection;
  std::string run;                                 // run id, see run_id.hpp
  bool resumes = false;                            // the run was begun before
  std::string name;                                // object name, for one VM only; "" = made from VM and run
  std::size_t attempt = 1;                         // from 2 on, the names end in "-" and this number
  std::optional<base::Duration> failure_deadline;  // at least 1 s; none: KubeVirt's 5m
  std::string deletion_policy;                     // "" = KubeVirt's Delete
  // Beside ours, whose keys (is_own_label) are not taken from here. Checked by kube::check_label.
  std::vector<std::pair<std::string, std::string>> labels;
  HoldWish hold = HoldWish::automatic;
  std::optional<base::Duration> max_freeze;
  bool probe = false;                   // ask the agents of frozen guests live
  std::vector<std::string> accept_raw;  // disks that need no file system
  bool group = false;                   // all VMs are held together before the first snapshot is created, or none is taken
  std::size_t max_held = 20;            // the largest group
  std::optional<Shard> shard;
  std::optional<base::Duration> skip_if_newer;  // pass over a VM that has a snapshot, ready to use, that is not older
  std::optional<Recipe> recipe;                 // for each running VM
  bool recipe_from_cluster = false;             // else the one that a VM's annotation names
  RecipeOptions recipe_options;
  bool force = false;  // create also what can never succeed as things are, see plan_snapshots
};

// Nobody but us is to hold the guests; KubeVirt holds no group.
bool insists(const SnapshotRequest& request);

// What will be done with one VM, computed before anything is changed; printable, comparable; the whole content of --dry-run.
struct SnapshotPlan {
  kubevirt::NewVmSnapshot snapshot;
  std::string api_version;  // of snapshot.kubevirt.io
  std::string vm_uid;
  bool running = false;
  std::optional<bool> agent_connected;  // none: not running, or VirtualMachineInstances may not be read
  bool paused = false;
  std::string paused_by;                       // the run of this tool whose mark is on the paused VM, or empty
  HoldTarget target;                           // the instance; vmi_uid is empty where none runs or may be read
  std::string guest_os;                        // guestOSInfo.id
  kubevirt::Hold hold = kubevirt::Hold::none;  // who will make the guest stand still
  base::Duration max_freeze{};                 // where we hold it
  std::chrono::seconds safety_timeout{};       // likewise
  bool probe = false;
  bool insists = false;          // where the freeze fails, no snapshot is taken
  bool resumes = false;          // it may have been created by an earlier part of the run
  bool may_thaw = false;         // we have the right to let it go
  bool locks = false;            // a Lease keeps other runs away while it is held
  std::optional<Recipe> recipe;  // of a VM that runs
  RecipeTarget recipe_target;
  RecipeOptions recipe_options;
  std::vector<DiskReport> disks;          // included = KubeVirt is expected to include it
  std::vector<std::string> warnings;      // one sentence each
  std::vector<std::string> forced;        // what it would be refused for without `force`; one sentence each, and a warning each
  std::vector<std::string> waits;         // what has to pass before KubeVirt begins; one sentence each, and a warning each
  std::optional<base::TimePoint> looked;  // when its instance and who mounts its disks were read; what is asked of its agent is younger
  std::vector<std::string> assumptions;   // for the evidence; one clause each
  Level best = Level::unknown;            // the strongest level that can come of it
  std::vector<std::string> best_because;  // why it cannot be stronger
  std::optional<base::Error> refusal;     // nothing may be created for this VM
  bool complete() const;
};

struct SnapshotSet {
  std::string run;
  bool group = false;  // together or not at all
  std::string api_version;
  std::vector<SnapshotPlan> plans;  // by namespace and name
  std::vector<PassedOver> passed_over;
  std::vector<std::string> notes;  // what may not be read, and what is therefore not known; one sentence each
};

// Reads the API versions, the VMs, their instances and agents. Sends nothing that changes anything.
// Errors of the whole: as select_vms; precondition: no snapshot API; usage: `name` with several VMs, a group of more than `max_held`.
// Where one VM of a group is refused, all are. Refusals, kept per VM:
//   precondition  as things are no snapshot can come of its disks (check_disks); the VM is being deleted; no agent for a freeze
//   conflict      others use the disks of a stopped VM; another snapshot or a restore of this VM is under way; KubeVirt would not begin at
//                 once, and nobody but us is to hold the guest, or there is a recipe: all that would stand still meanwhile
//   forbidden     a freeze was asked for, and we may not freeze or not thaw
//   or as RecipeRun::prepare
// `force` overrides those of the disks alone: nothing else of these is KubeVirt's to wait for. The freeze is then left to it.
base::Result<SnapshotSet> plan_snapshots(kube::Client& client, base::Clock& clock, const SnapshotRequest& request,
                                         const base::Deadline& deadline, const std::stop_token& stop);

// Sends the create with server-side dry run. The same errors as that of take_snapshots.
base::Result<void> rehearse_snapshot(kube::Client& client, const SnapshotPlan& plan, const base::Deadline& deadline,
                                     const std::stop_token& stop);

struct TakeOptions {
  WaitFor wait = WaitFor::ready;
  bool wait_on_error = false;                    // what KubeVirt goes on trying ends no wait (hindrance.hpp)
  LockOptions lock;                              // for VMs that are paused
  std::size_t parallel = 4;                      // guests that are held, or whose snapshots are not cut yet, at once
  bool threads = true;                           // false: all on the caller's thread, for tests whose clock jumps
  bool events = true;                            // tell the outcome as an Event on the VM
  std::optional<Level> require;                  // for delete_weaker
  bool delete_weaker = false;                    // remove a snapshot that does not meet `require`
  std::function<void(const std::string&)> note;  // a sentence that is worth no warning; from any thread, one at a time
};

struct TakenSnapshots {
  std::vector<SnapshotItem> items;   // one per plan, in their order
  std::optional<GroupReport> group;  // of a group
};

// Takes all planned snapshots and follows them to `wait`. Never fails as a call: each item holds its outcome, with item.error
//   already_exists  the name is taken, by us or by others (said which); nothing was created
//   internal        Failed, or Succeeded with no disk in it; message holds the cause as last seen; or the guest would have stood still for
//                   too long, or its lock was lost, and the snapshot was removed; or an error is known not to heal: then it was removed
//                   where the guest may stand still, by us or by KubeVirt, and we may let it go
//   not_found       deleted by someone while we waited, or replaced under the same name
//   timeout         the deadline passed; the object still exists, unless we held its guest: then it was removed
//   cancelled       stop was requested
//   or what the client said. Where the object was left behind, item.left names it with its state.
// A guest that we hold is let go on every path, and item.freeze says whether that was confirmed. Giving up a snapshot whose guest we hold
// deletes it first: a guest that is thawed before would be cut all the same. Where KubeVirt's controller holds the guest, stop and deadline
// end the wait only. Of a group nothing is kept unless all of it is cut: until then what fails for one VM fails for all, and their
// snapshots are deleted.
TakenSnapshots take_snapshots(const Ground& ground, const SnapshotSet& set, const TakeOptions& options, const base::Deadline& deadline,
                              const std::stop_token& stop);

// The plan as a report item (outcome planned, or failed where it is refused), for --dry-run.
SnapshotItem item_of(const SnapshotPlan& plan);

}  // namespace vmbackup::backup
