// The controllers of a FakeCluster: each looks at one name at a time, some time after something about it changed.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/fake_cluster_timers.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

// Deletes what nobody owns any more, and the content of namespaces that go. [kube-controller-manager]
class Collector {
 public:
  explicit Collector(World& world);

 private:
  void collect(const std::string& uid, bool orphan);
  void finish_foreground(const Kind& kind, const kube::Name& name);
  void empty_namespace(const kube::Name& name);
  World& world_;
  WorkQueue namespaces_;
};

// VirtualMachine to VirtualMachineInstance and back, and the status of both. [kubevirt 1.9.0, pkg/virt-controller/watch/vm]
class VmController {
 public:
  explicit VmController(World& world);

 private:
  void reconcile(const kube::Name& name);
  void make_data_volumes(const json::Value& vm);
  void make_state_claim(const json::Value& vm);
  void start(const json::Value& vm);
  void bring_up(const kube::Name& name, const std::string& uid);
  void make_running(const kube::Name& name, const std::string& uid);
  void shut_down(const kube::Name& name);
  void power_off(const kube::Name& name, const std::string& uid, const std::string& phase);
  void end_instance(const kube::Name& name);
  void make_pod(const json::Value& vmi);
  void update_status(const kube::Name& name);
  bool claims_ready(const json::Value& vm) const;
  void set_phase(json::Value& vmi, const std::string& phase);
  World& world_;
  WorkQueue queue_;
  std::set<std::string> stopping_;  // UIDs of instances on their way down
};

// Claims to volumes, VolumeSnapshots to cuts: provisioner, snapshot-controller and CSI driver in one.
// [external-snapshotter 8.6.0, pkg/common-controller, pkg/sidecar-controller]
class StorageController {
 public:
  explicit StorageController(World& world);

 private:
  void bind(const kube::Name& name);
  void reconcile(const kube::Name& name);
  void begin(const json::Value& snapshot);
  void take_cut(const kube::Name& name, const std::string& uid);
  void make_ready(const kube::Name& name, const std::string& uid);
  void fail(const kube::Name& name, const std::string& message);
  void remove(const json::Value& snapshot);
  // A parameter of the claim's StorageClass or the snapshot's class; the longest `name@glob` that fits the claim wins.
  std::string knob(const json::Value& snapshot, const std::string& key) const;
  std::optional<std::string> refusal(const json::Value& snapshot);
  std::string vm_of_claim(const std::string& ns, const std::string& claim) const;
  World& world_;
  WorkQueue claims_;
  WorkQueue snapshots_;
  std::map<std::string, int> attempts_;  // by UID of the VolumeSnapshot
  std::map<std::string, int> refused_;   // by claim: how often failSnapshots has struck
};

// Which VolumeSnapshotClass a claim's StorageClass leads to. `name` empty and no error: none.
struct ClassChoice {
  std::string name;
  std::string error;
};
ClassChoice snapshot_class_of(const World& world, const json::Value& claim);

// The volumes of a VM that may be in a snapshot.
struct VolumeClaim {
  std::string volume;
  std::string claim;
};
std::vector<VolumeClaim> volume_claims(const json::Value& vm);
// A persistent TPM or EFI variables: KubeVirt keeps them in a claim of its own, made when the VM starts.
bool needs_state(const json::Value& vm);
std::string state_volume(const json::Value& vm);
// That claim, found by its label; empty: there is none.
std::string state_claim(const World& world, const json::Value& vm);
// volume_claims(), and the claim of the VM's state where there is one. [kubevirt 1.9.0, pkg/storage/utils/volumes.go]
std::vector<VolumeClaim> all_claims(const World& world, const json::Value& vm);

// VirtualMachineSnapshot: lock, content, status, unlock. [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go, source.go]
class SnapshotController {
 public:
  explicit SnapshotController(World& world);
  void enqueue(const kube::Name& name) { queue_.add(name, world_.options.speed.react); }

 private:
  void reconcile(const kube::Name& name);
  void work_on(const json::Value& snapshot);
  void finish_deletion(const json::Value& snapshot);
  // True when the VM is ours; else `why` is the rest of "Source not locked".
  bool lock(const json::Value& snapshot, const json::Value& vm, std::string& why);
  void unlock(const json::Value& snapshot);
  std::optional<std::string> volumes_obstacle(const json::Value& vm) const;
  std::string pods_obstacle(const json::Value& vm) const;
  json::Value source_of(const json::Value& vm) const;
  void make_content(const json::Value& snapshot, const json::Value& vm);
  bool drop_content(const json::Value& snapshot);
  void update_status(const kube::Name& name, const std::string& why_not_locked);
  void set_indications(json::Value& status, const json::Value& snapshot) const;
  // In the alphabet's order, or last.
  void add_indication(json::Value& status, const std::string& word, bool last = false) const;
  void set_volumes(json::Value& status, const json::Value& content) const;
  World& world_;
  WorkQueue queue_;
};

// VirtualMachineSnapshotContent: freeze, VolumeSnapshots, thaw, readiness. [kubevirt 1.9.0, pkg/storage/snapshot/snapshot.go]
class ContentController {
 public:
  explicit ContentController(World& world);

 private:
  // What is being asked of the guest on behalf of a content.
  struct Asking {
    bool busy = false;
    bool frozen = false;  // our freeze succeeded, or was not needed, for the VolumeSnapshots to come
    bool thawed = false;
    int thaws_failed = 0;
    base::TimePoint rests_until{};
  };
  void reconcile(const kube::Name& name);
  void freeze(const kube::Name& name, const json::Value& content, const json::Value& snapshot);
  void try_again(const kube::Name& name, const std::string& uid, base::Duration pause);
  void make_snapshots(const json::Value& content);
  void thaw(const kube::Name& name, const json::Value& content);
  void thaw_failed(const kube::Name& name, const std::string& message);
  void let_go(const kube::Name& name, const json::Value& content);
  void update_status(const kube::Name& name);
  World& world_;
  WorkQueue queue_;
  std::map<std::string, Asking> asking_;  // by UID of the content
};

// Of a VirtualMachineSnapshot.
std::string source_name(const json::Value& snapshot);
std::optional<base::Duration> failure_deadline(const json::Value& snapshot);  // nothing: none (0)
bool deadline_passed(const World& world, const json::Value& snapshot);
std::string content_name(const json::Value& snapshot);
const json::Value* content_of(const World& world, const json::Value& snapshot);
// The VM is locked for this snapshot: status and finalizer.
bool locked_by(const json::Value& vm, const std::string& snapshot);

}  // namespace vmbackup::test
