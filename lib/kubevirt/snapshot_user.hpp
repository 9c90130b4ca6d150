// Objects that read a VirtualMachineSnapshot: restores, exports, clones. As much of them as tells whether they still do.
#pragma once

#include <string>

#include "base/result.hpp"
#include "json/value.hpp"

namespace vmbackup::kubevirt {

struct SnapshotUser {
  std::string ns;
  std::string name;
  std::string snapshot;   // the VirtualMachineSnapshot that it names; "" when its source is something else
  bool finished = false;  // it will not read the snapshot any more
};

// Finished: status.complete. One that failed is not: it may still be repaired, and until it is deleted it holds its target.
// [kubevirt 1.9.0, pkg/storage/snapshot/restore.go]
base::Result<SnapshotUser> decode_vm_restore(const json::Value& object);
// Finished: phase Terminated or Skipped. [kubevirt 1.9.0, api/export/v1/types.go]
base::Result<SnapshotUser> decode_vm_export(const json::Value& object);
// Finished: phase Succeeded or Failed. [kubevirt 1.9.0, api/clone/v1beta1/types.go]
base::Result<SnapshotUser> decode_vm_clone(const json::Value& object);

}  // namespace vmbackup::kubevirt
