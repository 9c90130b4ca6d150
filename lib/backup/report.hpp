// What a run did: typed values that every output format is a view of. Fields are only ever added.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backup/level.hpp"
#include "backup/recipe.hpp"
#include "backup/retention.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"

namespace vmbackup::backup {

enum class Outcome { done, failed, skipped, planned };
const char* to_string(Outcome outcome);

// The source of a disk that is none of the VM's volumes: what KubeVirt keeps of the VM beside them (kubevirt/persistent_state.hpp).
inline constexpr const char* k_backend_storage = "backendStorage";

struct DiskReport {
  std::string name;    // the VM's volume
  std::string source;  // "persistentVolumeClaim", "dataVolume", "containerDisk", ...
  std::string claim;   // PVC, empty where there is none
  bool included = false;
  bool counts = true;                         // a disk whose absence makes the snapshot incomplete
  std::string reason;                         // why it is not included
  std::string volume_snapshot;                // name, empty when not included or not readable
  std::string snapshot_class;                 // empty when VolumeSnapshots may not be read
  std::optional<std::uint64_t> restore_size;  // bytes that a restore needs; none when VolumeSnapshots were not or may not be read
  std::optional<base::WallTime> cut_time;
  std::optional<bool> ready;
  std::string error;
  std::optional<bool> file_system;  // the agent lists a mounted file system on it; none: not asked, or it cannot be told
  std::string reach;                // why a freeze does not reach it, or why that is not known; a clause
  bool accepted_raw = false;        // the user said that it needs none
  std::optional<bool> shared;       // another running VM mounts its claim; none: not known
};

// How a guest was made to stand still for its snapshot.
struct FreezeFacts {
  std::string by;                                // "freeze" (this program), "controller" (KubeVirt)
  std::optional<base::WallTime> sent;            // our freeze
  std::optional<base::WallTime> confirmed;       // it was answered: frozen
  std::optional<base::WallTime> thaw_confirmed;  // the guest is known to be let go
  std::optional<double> window_seconds;          // from the freeze sent to the thaw confirmed
  std::string thawed_by;                         // in words
  bool held = false;                             // it may still be frozen, and should not be
};

// One VirtualMachineSnapshot, or the failed try to make one.
struct SnapshotItem {
  std::string ns;
  std::string vm;
  std::string name;
  std::string uid;
  std::string vm_uid;                                       // of the VM that it is of; empty before KubeVirt has taken it up
  std::vector<std::pair<std::string, std::string>> labels;  // by key
  bool deleting = false;
  Outcome outcome = Outcome::failed;
  std::string phase;  // KubeVirt's word; empty before there is one
  bool ready_to_use = false;
  std::vector<std::string> indications;
  std::shared_ptr<const Judged> judged;  // level and evidence; none where they were not looked at. Beside, for it is large
  bool complete = false;                 // every disk that counts is included; false while not known
  std::vector<std::string> reasons;      // why it is incomplete or failed, one sentence each
  std::vector<DiskReport> disks;
  std::string deletion_policy;                  // "Delete", "Retain", ...
  std::string failure_deadline;                 // as KubeVirt has it; "5m" where the object has none
  std::string run;                              // our run id, empty for those of other tools
  std::string content;                          // VirtualMachineSnapshotContent, may be empty
  std::optional<std::uint64_t> restore_size;    // of all included disks; none where that of one is not known
  std::optional<base::WallTime> created;        // metadata.creationTimestamp
  std::optional<base::WallTime> creation_time;  // all cuts made
  std::optional<double> seconds;                // from our create sent to the end of our wait
  std::vector<StepReport> steps;                // of the recipe, where there was one
  std::optional<FreezeFacts> freeze;            // of snapshots that this run took of a guest with an agent
  std::string obstacle;                         // what the server says stands in the way, if anything
  std::size_t tries = 1;                        // of this VM in this run
  std::vector<std::string> failed_tries;        // why those before this one failed: "try 1: ..."
  std::vector<std::string> left;                // what was left in the cluster: "VirtualMachineSnapshot prod/db-0-..., InProgress"
  std::optional<base::Error> error;
};

// What a group came to.
struct GroupReport {
  std::size_t vms = 0;
  std::optional<base::WallTime> held;  // all of them stood still then; none: that was not reached
  bool together = false;               // each is shown to have stood still from `held` until its last cut: all are of that instant
  std::vector<std::string> reasons;    // why that is not shown
};

struct SnapshotReport {
  std::string run;
  std::optional<GroupReport> group;
  bool dry_run = false;
  base::WallTime start_time{};
  std::optional<base::WallTime> completion_time;
  std::vector<SnapshotItem> items;
};

// One guest that freeze or thaw dealt with.
struct FreezeItem {
  std::string ns;
  std::string vm;
  Outcome outcome = Outcome::failed;
  // "frozen", "thawed", "paused", "stopped" (there is no running instance), "running" (it was never frozen) or "unknown".
  std::string state = "unknown";
  bool held = false;                             // it may still be frozen or paused, and should not be
  std::string by;                                // who holds it, as far as that can be known: "run 2026...", else empty
  std::optional<base::WallTime> sent;            // when the freeze was sent
  std::optional<base::WallTime> confirmed;       // when it was answered: frozen
  std::optional<base::WallTime> thaw_confirmed;  // when the thaw was confirmed
  std::optional<double> window_seconds;          // from the freeze sent to the thaw confirmed
  base::Duration safety_timeout{};               // after which the guest thaws by itself; zero: not known
  std::optional<base::WallTime> safety_until;    // the earliest time at which it may do so
  std::string thawed_by;                         // "this run", "the end of the instance", ...; empty while it is not thawed
  std::vector<std::string> reasons;              // why it is weaker than asked, or was refused or passed over, one sentence each
  std::vector<std::string> assumptions;          // what could not be seen
  std::vector<std::string> warnings;             // of the plan
  std::optional<base::Error> error;
};

// The command that ran while the guests were held.
struct CommandReport {
  std::string program;
  std::optional<int> exit_code;  // none: it never started
  bool given_up = false;         // it was ended by us
  std::string why_given_up;
  double seconds = 0;
};

struct FreezeReport {
  std::string run;
  bool dry_run = false;
  base::WallTime start_time{};
  std::optional<base::WallTime> completion_time;
  std::vector<FreezeItem> items;
  std::optional<CommandReport> command;
};

// One snapshot that delete dealt with.
struct DeleteItem {
  std::string ns;
  std::string name;
  std::string vm;
  Outcome outcome = Outcome::failed;
  std::vector<std::string> deletes;  // what goes: "VirtualMachineSnapshot prod/x", "VirtualMachineSnapshotContent prod/...", ...
  std::vector<std::string> stays;    // what deletionPolicy Retain keeps
  bool accepted = false;             // the server took the delete, or there was nothing to delete
  std::vector<std::string> users;    // what still reads it, or why that cannot be excluded
  std::optional<base::Error> error;
};
// One snapshot that forget decided about.
struct ForgetItem {
  DeleteItem item;  // planned, done or failed where it goes; skipped where it stays
  std::string uid;
  std::string vm_uid;
  std::optional<base::WallTime> created;
  std::shared_ptr<const Judged> judged;
  bool complete = false;
  Fate fate = Fate::keep;
  std::vector<std::string> reasons;
};
struct ForgetReport {
  bool dry_run = false;
  base::WallTime now{};  // the server's
  std::vector<ForgetItem> items;
};

struct DeleteReport {
  bool dry_run = false;
  std::vector<DeleteItem> items;
};

}  // namespace vmbackup::backup
