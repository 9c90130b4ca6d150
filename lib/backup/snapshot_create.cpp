#include "backup/snapshot_create.hpp"

#include "backup/run_id.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

std::string command_for(const char* command, const kubevirt::NewVmSnapshot& snapshot) {
  return std::string("kubectl vmbackup ") + command + snapshot.name + " -n " + snapshot.ns;
}

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

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
Result<kubevirt::VmSnapshot> adopt_or_refuse(const SnapshotPlan& plan, Result<kubevirt::VmSnapshot> found) {
  if (!found.ok()) return found;
  const std::string what = kubevirt::describe(kubevirt::vm_snapshots(plan.api_version), {plan.snapshot.ns, plan.snapshot.name});
  const std::string run = found->label(k_run_label);
  if (!run.empty() && run == run_of(plan) && found->source_name == plan.snapshot.vm) return found;
  const std::string whose = run.empty() ? "it was not made by this tool" : "it was made by run " + run + " of this tool";
  return Error(ErrorCode::already_exists,
               what + " exists already: " + whose + " (source VM " + found->source_name + "); nothing was created",
               "choose another --name, or look at it: " + command_for("show ", plan.snapshot));
}

Result<kubevirt::VmSnapshot> read(kube::Client& client, const SnapshotPlan& plan, const kube::Call& call, const std::stop_token& stop) {
  const Result<json::Value> object =
      client.get(kubevirt::vm_snapshots(plan.api_version), {plan.snapshot.ns, plan.snapshot.name}, call, stop);
  return object.ok() ? kubevirt::decode_vm_snapshot(*object) : Result<kubevirt::VmSnapshot>(object.error());
}

}  // namespace

bool may_exist(const Error& error) {
  return error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout || error.code() == ErrorCode::cancelled;
}

Result<kubevirt::VmSnapshot> create_snapshot(kube::Client& client, const SnapshotPlan& plan, const kube::Call& call,
                                             const std::stop_token& stop) {
  const kube::Resource resource = kubevirt::vm_snapshots(plan.api_version);
  const Result<json::Value> object =
      client.create(resource, plan.snapshot.ns, kubevirt::encode(plan.snapshot, plan.api_version), call, stop);
  if (object.ok()) return kubevirt::decode_vm_snapshot(*object);
  // An earlier part of the run, or another one that has taken it up, is not this create: what it saw is not ours.
  if (object.error().code() != ErrorCode::already_exists || plan.resumes) return with_gate_hint(object.error());
  Result<kubevirt::VmSnapshot> there = read(client, plan, call, stop);
  return there.ok() ? adopt_or_refuse(plan, std::move(there)) : Result<kubevirt::VmSnapshot>(object.error());
}

Result<std::optional<kubevirt::VmSnapshot>> find_own_snapshot(kube::Client& client, const SnapshotPlan& plan, const kube::Call& call,
                                                              const std::stop_token& stop) {
  const Result<kubevirt::VmSnapshot> found = adopt_or_refuse(plan, read(client, plan, call, stop));
  if (found.ok()) return std::optional(*found);
  if (found.error().code() == ErrorCode::not_found) return std::optional<kubevirt::VmSnapshot>();
  return found.error();
}

Result<void> rehearse_snapshot(kube::Client& client, const SnapshotPlan& plan, const base::Deadline& deadline,
                               const std::stop_token& stop) {
  const Result<kubevirt::VmSnapshot> made = create_snapshot(client, plan, {.deadline = deadline, .dry_run = true}, stop);
  if (!made.ok()) return made.error();
  return {};
}

}  // namespace vmbackup::backup
