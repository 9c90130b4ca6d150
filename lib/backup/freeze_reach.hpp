// Which disks of a guest a freeze reaches, by what its agent lists on them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kubevirt/guest_control.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

struct DiskReach {
  std::string volume;
  std::optional<bool> reached;  // none: not known
  std::string reason;           // why not, or why it is not known; one clause
  std::string assumption;       // what has to be assumed for it, one clause; empty where nothing has
};

// A pure function; one entry per disk of the instance but cdroms and those that are not attached, in their order. A mounted file system
// stands on a disk when
//   - the agent tells that disk's serial: as the VM's spec sets it (QEMU keeps 20 letters of it for virtio), with the SCSI vendor and model
//     before it, or the name that libvirt gives a SCSI disk without one, "drive-ua-<volume>"
//   - the VM has no other disk: assumed, since a guest may have some that are not the VM's, by iSCSI
//   - as many of the guest's disks on that bus have file systems as the VM has disks there, however they are called; assumed for "sd"
//   - Linux calls it as libvirt does, "vda" or a partition of it: assumed, since the kernel counts by itself. For "sda" that is no ground
//     at all: cdroms count there too
// No: the list is whole, every file system in it stands on a known disk, and none on this one; or only such as Linux cannot freeze. One on
// an unknown disk ("dm-0" and Windows' volumes without serials) makes every no a not known. What stands on no disk (loop, zram, sr) is
// passed over.
// [qemu 9.1, qga/commands-linux.c, hw/block/virtio-blk.c; libvirt 10, src/qemu/qemu_command.c: qemuBuildDiskDeviceProps; linux 6.12,
// fs/ioctl.c: ioctl_fsfreeze, which wants freeze_fs or freeze_super]
std::vector<DiskReach> freeze_reach(const kubevirt::VirtualMachineInstance& vmi, const kubevirt::FileSystems& systems);

}  // namespace vmbackup::backup
