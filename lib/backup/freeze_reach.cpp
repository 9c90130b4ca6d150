#include "backup/freeze_reach.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/text.hpp"

namespace vmbackup::backup {

namespace {

using kubevirt::FileSystem;
using kubevirt::InstanceDisk;

constexpr std::size_t k_virtio_serial = 20;
// In Linux' words, then in Windows'.
constexpr std::array<std::string_view, 9> k_unfreezable = {"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "FAT", "FAT32", "exFAT"};
// On a file, in memory, on a cdrom.
constexpr std::array<std::string_view, 3> k_no_disk = {"loop", "zram", "sr"};
constexpr const char* k_no_others = "the guest has no disks but the VM's";

bool freezes(const FileSystem& system) { return std::find(k_unfreezable.begin(), k_unfreezable.end(), system.type) == k_unfreezable.end(); }

bool letters(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char letter) { return letter >= 'a' && letter <= 'z'; });
}

std::string_view without_number(std::string_view name) {
  while (!name.empty() && name.back() >= '0' && name.back() <= '9') name.remove_suffix(1);
  return name;
}

bool on_no_disk(const FileSystem& system) {
  const std::string_view name = without_number(system.device);
  return name != system.device && std::find(k_no_disk.begin(), k_no_disk.end(), name) != k_no_disk.end();
}

// "vda" of "vda1" and "vda"; empty where Linux does not name a disk of that kind so.
std::string disk_name(const std::string& device) {
  const std::string_view name = without_number(device);
  const bool known = name.size() > 2 && (name.substr(0, 2) == "vd" || name.substr(0, 2) == "sd") && letters(name.substr(2));
  return known ? std::string(name) : std::string();
}

bool says(const InstanceDisk& disk, std::string_view told) {
  if (told.empty()) return false;
  if (disk.serial.empty()) return told.ends_with("drive-ua-" + disk.volume);
  if (told == disk.serial || told.ends_with("_" + disk.serial)) return true;
  return disk.serial.size() > k_virtio_serial && told == std::string_view(disk.serial).substr(0, k_virtio_serial);
}

// What the file systems say of each disk.
class Reach {
 public:
  Reach(const kubevirt::VirtualMachineInstance& vmi, const kubevirt::FileSystems& systems) : whole_(systems.whole) {
    for (const InstanceDisk& disk : vmi.disks) {
      if (!disk.cdrom && !disk.target.empty()) disks_.push_back({disk, {}, {}, false});
    }
    for (const FileSystem& system : systems.list) {
      if (!on_no_disk(system)) place(system);
    }
    count("vd", {});
    count("sd", k_no_others);
  }

  std::vector<DiskReach> results() const {
    std::vector<DiskReach> results;
    for (const Disk& disk : disks_) results.push_back(result(disk));
    return results;
  }

 private:
  struct Disk {
    InstanceDisk of;
    std::set<std::string> unfreezable;      // types of file systems that cannot be frozen
    std::optional<std::string> assumption;  // of the best ground that it is reached; none: there is no ground
    bool by_serial = false;
  };

  static void note(Disk& disk, const FileSystem& system, const std::string& assumption) {
    if (!freezes(system)) {
      disk.unfreezable.insert(system.type);
    } else if (!disk.assumption || assumption.empty()) {
      disk.assumption = assumption;
    }
  }

  void place(const FileSystem& system) {
    if (by_serial(system)) return;
    if (disks_.size() == 1) return note(disks_.front(), system, k_no_others);
    const std::string name = disk_name(system.device);
    if (freezes(system) && !name.empty()) named_.insert(name);
    const auto found = std::find_if(disks_.begin(), disks_.end(), [&](const Disk& disk) { return disk.of.target == name; });
    if (name.rfind("vd", 0) == 0 && found != disks_.end()) {
      note(*found, system, "the guest calls disk " + found->of.volume + " " + name + ", as libvirt does");
    } else {
      unplaced_.insert(system.device);
    }
  }

  // All of its disks have serials, and each is that of exactly one of ours.
  bool by_serial(const FileSystem& system) {
    std::vector<Disk*> below;
    for (const std::string& serial : system.serials) {
      std::vector<Disk*> fitting;
      for (Disk& disk : disks_) {
        if (says(disk.of, serial)) fitting.push_back(&disk);
      }
      if (fitting.size() != 1) return false;
      below.push_back(fitting.front());
    }
    for (Disk* disk : below) {
      note(*disk, system, {});
      disk->by_serial = true;
    }
    return !below.empty();
  }

  // As many disks with file systems as there are on that bus: then it does not matter which is which.
  void count(const std::string& bus, const std::string& assumption) {
    const auto on_bus = [&](const std::string& name) { return name.rfind(bus, 0) == 0; };
    const auto counts = [&](const Disk& disk) { return on_bus(disk.of.target) && !disk.by_serial; };
    const auto there = std::count_if(disks_.begin(), disks_.end(), counts);
    if (there == 0 || std::count_if(named_.begin(), named_.end(), on_bus) != there) return;
    for (Disk& disk : disks_) {
      if (counts(disk)) disk.assumption = assumption;
    }
    std::erase_if(unplaced_, on_bus);
  }

  DiskReach result(const Disk& disk) const {
    DiskReach reach{disk.of.volume, std::nullopt, {}, {}};
    if (disk.assumption) {
      reach.reached = true;
      reach.assumption = *disk.assumption;
    } else if (!disk.unfreezable.empty()) {
      const std::vector<std::string> types(disk.unfreezable.begin(), disk.unfreezable.end());
      reach.reached = false;
      reach.reason = "its file systems cannot be frozen: " + base::join(types, ", ");
    } else if (!whole_) {
      reach.reason = "the list of the guest's file systems is not whole";
    } else if (!unplaced_.empty()) {
      const std::vector<std::string> devices(unplaced_.begin(), unplaced_.end());
      reach.reason = "on which disks the guest's file systems are is not known: " + base::join(devices, ", ");
    } else {
      reach.reached = false;
      reach.reason = "the guest's agent lists no mounted file system on it";
    }
    return reach;
  }

  const bool whole_;
  std::vector<Disk> disks_;
  std::set<std::string> named_;     // Linux' names of disks with file systems that no serial has placed
  std::set<std::string> unplaced_;  // devices
};

}  // namespace

std::vector<DiskReach> freeze_reach(const kubevirt::VirtualMachineInstance& vmi, const kubevirt::FileSystems& systems) {
  return Reach(vmi, systems).results();
}

}  // namespace vmbackup::backup
