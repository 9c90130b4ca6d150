// What KubeVirt keeps of a VM beside its volumes, in a claim of its own: the state of a persistent TPM and of persistent EFI variables, and
// the maps of changed blocks. [kubevirt 1.9.0, pkg/storage/backend-storage/backend-storage.go; the same in 1.7.0 and 1.8.0]
#pragma once

#include <string>

#include "json/reader.hpp"

namespace vmbackup::kubevirt {

// The label on that claim; its value is the VM's name. Of several the newest counts that is not being deleted.
// [kubevirt 1.9.0, pkg/storage/utils/volumes.go getBackendPVCName]
inline constexpr const char* k_state_label = "persistent-state-for";

// What stands for it among the names of volumes in the VM's status, in snapshots and in their contents: "persistent-state-for-VM", or a
// shorter one with a hash where that is longer than 63 characters. [kubevirt 1.9.0, pkg/storage/utils/volumes.go BackendPVCVolumeName]
std::string state_volume_of(const std::string& vm);
// What stands for it in the status of every instance. [kubevirt 1.9.0, pkg/storage/backend-storage/backend-storage.go]
inline constexpr const char* k_state_volume_of_instance = "persistent-state-for-this-vm";

// Whether a VM of this spec.template.spec, or an instance of this spec, has a TPM or EFI variables that outlast its instance. Without the
// claim it is another machine to its guest: disks encrypted with its TPM cannot be opened. [kubevirt 1.9.0, pkg/storage/backend-storage
// IsBackendStorageNeeded; pkg/tpm]
bool has_persistent_state(const json::Reader& template_spec);

}  // namespace vmbackup::kubevirt
