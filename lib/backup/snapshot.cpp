#include "backup/snapshot.hpp"

#include <algorithm>

#include "backup/lookup.hpp"
#include "backup/run_id.hpp"
#include "backup/snapshot_watch.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string command_for(const char* command, const kubevirt::NewVmSnapshot& snapshot) {
  return std::string("kubectl vmbackup ") + command + snapshot.name + " -n " + snapshot.ns;
}

std::string run_of(const SnapshotPlan& plan) {
  for (const auto& [key, value] : plan.snapshot.labels) {
    if (key == k_run_label) return value;
  }
  return {};
}

// KubeVirt's own words for the gate are one short clause; what to do about it is not in them.
Error with_gate_hint(const Error& error) {
  if (error.message().find("snapshot feature gate not enabled") == std::string::npos) return error;
  return error.with_hint(
      "enable it in the KubeVirt object: spec.configuration.developerConfiguration.featureGates must list \"Snapshot\" "
      "(see: kubectl get kubevirt -A)");
}

// A name that is taken is ours only if the run is: then an earlier answer to this very create was lost.
Result<json::Value> adopt_or_refuse(kube::Client& client, const SnapshotPlan& plan, const Error& taken, const kube::Call& call,
                                    const std::stop_token& stop) {
  const kube::Resource resource = kubevirt::vm_snapshots(plan.api_version);
  const kube::Name name{plan.snapshot.ns, plan.snapshot.name};
  const std::string what = kubevirt::describe(resource, name);
  Result<json::Value> object = client.get(resource, name, call, stop);
  if (!object.ok()) return taken;
  const Result<kubevirt::VmSnapshot> found = kubevirt::decode_vm_snapshot(*object);
  if (!found.ok()) return found.error();
  const std::string run = found->label(k_run_label);
  if (!run.empty() && run == run_of(plan) && found->source_name == plan.snapshot.vm) return object;
  const std::string whose = run.empty() ? "it was not made by this tool" : "it was made by run " + run + " of this tool";
  return Error(ErrorCode::already_exists,
               what + " exists already: " + whose + " (source VM " + found->source_name + "); nothing was created",
               "choose another --name, or look at it: " + command_for("show ", plan.snapshot));
}

Result<json::Value> create(kube::Client& client, const SnapshotPlan& plan, const kube::Call& call, const std::stop_token& stop) {
  const kube::Resource resource = kubevirt::vm_snapshots(plan.api_version);
  Result<json::Value> object = client.create(resource, plan.snapshot.ns, kubevirt::encode(plan.snapshot, plan.api_version), call, stop);
  if (object.ok()) return object;
  if (object.error().code() == ErrorCode::already_exists) return adopt_or_refuse(client, plan, object.error(), call, stop);
  return with_gate_hint(object.error());
}

// A create without an answer may have happened: the object is then named as left behind.
bool may_exist(const Error& error) {
  return error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout || error.code() == ErrorCode::cancelled;
}

void finish(SnapshotItem& item, const SnapshotPlan& plan, const SnapshotEnd& end) {
  if (end.parts) {
    item = assemble(*end.parts);
    for (const std::string& missing : end.unreadable) item.reasons.push_back(missing);
  }
  if (!end.reached.ok()) {
    const Error& error = end.reached.error();
    item.outcome = Outcome::failed;
    item.error = error;
    if (!end.parts) return;
    item.error = error.with_hint(next_step({plan.snapshot.ns, plan.snapshot.name}, &*end.parts, error));
    const bool there = error.code() != ErrorCode::not_found || end.parts->snapshot.deleting;
    if (there) item.left.push_back(state_in_words(end.parts->snapshot));
    return;
  }
  item.outcome = Outcome::done;
  const bool any = std::any_of(item.disks.begin(), item.disks.end(), [](const DiskReport& disk) { return disk.included; });
  if (any) return;
  item.outcome = Outcome::failed;
  item.left.push_back(state_in_words(end.parts->snapshot));
  item.error = Error(ErrorCode::internal,
                     "VirtualMachineSnapshot " + item.ns + "/" + item.name + " is called " + item.phase + " by KubeVirt but holds no disk",
                     "remove it with: " + command_for("delete ", plan.snapshot));
}

}  // namespace

Result<void> rehearse_snapshot(kube::Client& client, const SnapshotPlan& plan, const base::Deadline& deadline,
                               const std::stop_token& stop) {
  const Result<json::Value> object = create(client, plan, {.deadline = deadline, .dry_run = true}, stop);
  if (!object.ok()) return object.error();
  return {};
}

SnapshotItem take_snapshot(kube::Client& client, base::Clock& clock, Observer& observer, const SnapshotPlan& plan, WaitFor wait,
                           const base::Deadline& deadline, const std::stop_token& stop) {
  const base::TimePoint begin = clock.now();
  SnapshotItem item = item_of(plan);
  item.reasons.clear();
  item.complete = false;
  const Result<json::Value> object = create(client, plan, {.deadline = deadline}, stop);
  Result<kubevirt::VmSnapshot> created = object.ok() ? kubevirt::decode_vm_snapshot(*object) : Result<kubevirt::VmSnapshot>(object.error());
  if (!created.ok()) {
    item.outcome = Outcome::failed;
    item.error = created.error();
    if (may_exist(created.error())) {
      item.left.push_back("VirtualMachineSnapshot " + item.ns + "/" + item.name + ", perhaps: the server did not say whether it was made");
      item.error = created.error().with_hint("see whether it exists: " + command_for("show ", plan.snapshot));
    }
    item.seconds = base::to_seconds(clock.now() - begin);
    return item;
  }
  observer.on({Event::Kind::created, item.ns, item.vm, item.name, {}, created->uid, clock.wall_now()});
  if (wait == WaitFor::none) {
    item = assemble({.snapshot = *created, .content = {}, .volume_snapshots = {}, .planned = plan.disks});
    item.outcome = Outcome::done;
    item.left.push_back(state_in_words(*created));
  } else {
    const Milestone milestone = wait == WaitFor::cut ? Milestone::cut : Milestone::ready;
    SnapshotWatch watch(client, clock, observer, {.api_version = plan.api_version, .one = true, .ns = {}, .label_selector = {}}, milestone);
    watch.add({.name = {item.ns, item.name}, .uid = created->uid, .vm = plan.snapshot.vm, .planned = plan.disks});
    item.uid = created->uid;
    finish(item, plan, watch.next(deadline, stop));
  }
  item.seconds = base::to_seconds(clock.now() - begin);
  return item;
}

}  // namespace vmbackup::backup
