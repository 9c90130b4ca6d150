#include "kubevirt/snapshot_user.hpp"

#include "json/reader.hpp"
#include "kubevirt/decode.hpp"

namespace vmbackup::kubevirt {

namespace {

SnapshotUser named(const json::Reader& root) {
  SnapshotUser user;
  user.ns = root.member("metadata").string("namespace");
  user.name = root.member("metadata").required_string("name");
  return user;
}

// An export or a clone may be of a VM or a claim as well.
std::string snapshot_source(const json::Reader& root) {
  const json::Reader source = root.member("spec").member("source");
  const std::string name = source.string("name");
  return source.string("kind") == "VirtualMachineSnapshot" ? name : std::string();
}

base::Result<SnapshotUser> checked(const json::Reader& root, SnapshotUser user) {
  if (std::optional<base::Error> error = root.error()) return *error;
  return user;
}

}  // namespace

base::Result<SnapshotUser> decode_vm_restore(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VirtualMachineRestore"));
  SnapshotUser user = named(root);
  user.snapshot = root.member("spec").string("virtualMachineSnapshotName");
  user.finished = root.member("status").optional_bool("complete").value_or(false);
  return checked(root, std::move(user));
}

base::Result<SnapshotUser> decode_vm_export(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VirtualMachineExport"));
  SnapshotUser user = named(root);
  user.snapshot = snapshot_source(root);
  const std::string phase = root.member("status").string("phase");
  user.finished = phase == "Terminated" || phase == "Skipped";
  return checked(root, std::move(user));
}

base::Result<SnapshotUser> decode_vm_clone(const json::Value& object) {
  const json::Reader root(object, what_of(object, "VirtualMachineClone"));
  SnapshotUser user = named(root);
  user.snapshot = snapshot_source(root);
  const std::string phase = root.member("status").string("phase");
  user.finished = phase == "Succeeded" || phase == "Failed";
  return checked(root, std::move(user));
}

}  // namespace vmbackup::kubevirt
