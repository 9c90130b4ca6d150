#include "backup/freeze_reach.hpp"

#include <doctest/doctest.h>

namespace {

using namespace vmbackup;
using kubevirt::FileSystem;
using kubevirt::InstanceDisk;

struct Expected {
  std::optional<bool> reached;
  bool assumed = false;
};

struct Row {
  const char* what;
  std::vector<InstanceDisk> disks;
  std::vector<FileSystem> systems;
  bool whole;
  std::vector<Expected> expected;
};

constexpr std::optional<bool> k_unknown = std::nullopt;
const InstanceDisk k_vda{"root", "vda", "", false};
const InstanceDisk k_vdb{"data", "vdb", "", false};
const InstanceDisk k_sda{"root", "sda", "", false};
const InstanceDisk k_sdb{"data", "sdb", "", false};

FileSystem ext4(const char* device, std::vector<std::string> serials = {}) { return {device, "/", "ext4", std::move(serials)}; }

TEST_CASE("which disks the file systems stand on") {
  const Row rows[] = {
      {"one disk, a partition", {k_vda}, {ext4("vda1", {""})}, true, {{true, true}}},
      {"one disk, LVM", {k_vda}, {ext4("dm-0", {""})}, true, {{true, true}}},
      {"one disk, Windows", {k_sda}, {{"the volume's path", "C:", "NTFS", {}}}, true, {{true, true}}},
      {"one disk, nothing mounted but a snap and a cdrom",
       {k_vda},
       {{"loop0", "/snap/a", "squashfs", {}}, {"sr0", "/media", "iso9660", {}}},
       true,
       {{false}}},
      {"two disks, each with one: no matter which is which", {k_vda, k_vdb}, {ext4("vda1"), ext4("vdb")}, true, {{true}, {true}}},
      {"two disks, two partitions of one", {k_vda, k_vdb}, {ext4("vda1"), ext4("vda2")}, true, {{true, true}, {false}}},
      {"the same, the list cut off", {k_vda, k_vdb}, {ext4("vda1"), ext4("vda2")}, false, {{true, true}, {k_unknown}}},
      {"two disks, LVM over nobody knows what", {k_vda, k_vdb}, {ext4("vda1"), ext4("dm-0", {"", ""})}, true, {{true, true}, {k_unknown}}},
      {"two disks, an ESP and an LVM", {k_vda, k_vdb}, {{"vda1", "/boot/efi", "vfat", {}}, ext4("dm-0")}, true, {{false}, {k_unknown}}},
      {"only an unfreezable one", {k_vda, k_vdb}, {ext4("vda1"), {"vdb1", "/data", "exfat", {}}}, true, {{true, true}, {false}}},
      {"SCSI names are no ground", {k_sda, k_sdb}, {ext4("sda1")}, true, {{k_unknown}, {k_unknown}}},
      {"SCSI, counted", {k_sda, k_sdb}, {ext4("sda1"), ext4("sdc1")}, true, {{true, true}, {true, true}}},
      {"SCSI, told by libvirt's name", {k_sda, k_sdb}, {ext4("sda1", {"0QEMU_QEMU_HARDDISK_drive-ua-data"})}, true, {{false}, {true}}},
      {"serials, LVM over both",
       {{"root", "vda", "R1", false}, {"data", "vdb", "D1", false}},
       {ext4("dm-0", {"R1", "D1"})},
       true,
       {{true}, {true}}},
      {"serials beat names", {{"root", "vda", "R1", false}, {"data", "vdb", "D1", false}}, {ext4("vda1", {"D1"})}, true, {{false}, {true}}},
      {"Windows with serials",
       {{"root", "sda", "R1", false}, {"data", "sdb", "D1", false}},
       {{"the volume's path", "C:", "NTFS", {"R1"}}},
       true,
       {{true}, {false}}},
      {"Windows without", {k_sda, k_sdb}, {{"the volume's path", "C:", "NTFS", {""}}}, true, {{k_unknown}, {k_unknown}}},
      {"a long serial, as virtio keeps it",
       {{"root", "vda", "0123456789012345678901234", false}, k_vdb},
       {ext4("vdb1", {"01234567890123456789"})},
       true,
       {{true}, {false}}},
      {"two serials alike in what virtio keeps",
       {{"root", "vda", "01234567890123456789A", false}, {"data", "vdb", "01234567890123456789B", false}},
       {ext4("dm-0", {"01234567890123456789"})},
       true,
       {{k_unknown}, {k_unknown}}},
      {"a disk that is none of the VM's", {k_vda, k_vdb}, {ext4("vda1"), ext4("sda1", {"IQN"})}, true, {{true, true}, {k_unknown}}},
      {"no list", {k_vda}, {}, false, {{k_unknown}}},
      {"a cdrom, and a disk that is not attached",
       {k_vda, {"cd", "sda", "", true}, {"late", "", "", false}},
       {ext4("vda1")},
       true,
       {{true, true}}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    kubevirt::VirtualMachineInstance vmi;
    vmi.disks = row.disks;
    const std::vector<backup::DiskReach> found = backup::freeze_reach(vmi, {row.systems, row.whole});
    REQUIRE(found.size() == row.expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(i);
      CAPTURE(found[i].reason);
      CHECK(found[i].reached == row.expected[i].reached);
      CHECK(found[i].assumption.empty() != row.expected[i].assumed);
      CHECK(found[i].reason.empty() == (found[i].reached == true));
    }
  }
}

TEST_CASE("what is said of disks that are not reached") {
  kubevirt::VirtualMachineInstance vmi;
  vmi.disks = {k_vda, k_vdb};
  const auto reason = [&](std::vector<FileSystem> systems, bool whole) {
    return backup::freeze_reach(vmi, {std::move(systems), whole})[1].reason;
  };
  CHECK(reason({ext4("vda1")}, true) == "the guest's agent lists no mounted file system on it");
  CHECK(reason({ext4("vda1")}, false) == "the list of the guest's file systems is not whole");
  CHECK(reason({ext4("dm-0")}, true) == "on which disks the guest's file systems are is not known: dm-0");
  CHECK(reason({ext4("vda1"), {"vdb1", "/", "vfat", {}}}, true) == "its file systems cannot be frozen: vfat");
  CHECK(backup::freeze_reach(vmi, {{ext4("vda1")}, true})[0].assumption == "the guest calls disk root vda, as libvirt does");
}

}  // namespace
