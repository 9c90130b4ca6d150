#include "backup/snapshot_class.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace vmbackup::backup {

namespace {

ClassPick none(std::string reason) { return {ClassPick::Kind::none, {}, std::move(reason)}; }
ClassPick one(const std::string& name) { return {ClassPick::Kind::one, {name}, {}}; }

template <typename Item>
const Item* named(const std::vector<Item>& items, const std::string& name) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.name == name; });
  return found == items.end() ? nullptr : &*found;
}

}  // namespace

ClassPick pick_class(const std::optional<std::string>& storage_class, const StorageClasses& classes) {
  if (!storage_class || storage_class->empty()) return none("its claim names no StorageClass");
  const kubevirt::StorageClass* found = named(classes.storage, *storage_class);
  if (found == nullptr) return none("its StorageClass " + *storage_class + " does not exist");
  const kubevirt::StorageProfile* profile = named(classes.profiles, *storage_class);
  if (profile != nullptr && !profile->snapshot_class.empty()) {
    const kubevirt::VolumeSnapshotClass* wanted = named(classes.snapshot, profile->snapshot_class);
    if (wanted != nullptr && wanted->driver == found->provisioner) return one(wanted->name);
    if (wanted != nullptr) {
      return {ClassPick::Kind::one,
              {wanted->name},
              "StorageProfile " + *storage_class + " names VolumeSnapshotClass " + wanted->name + ", whose driver is " + wanted->driver +
                  " and not " + found->provisioner};
    }
    return none("StorageProfile " + *storage_class + " names VolumeSnapshotClass " + profile->snapshot_class + ", which does not exist");
  }
  std::vector<std::string> fitting;
  std::vector<std::string> defaults;
  for (const kubevirt::VolumeSnapshotClass& each : classes.snapshot) {
    if (each.driver != found->provisioner) continue;
    fitting.push_back(each.name);
    if (each.says_default) defaults.push_back(each.name);
  }
  std::sort(fitting.begin(), fitting.end());
  std::sort(defaults.begin(), defaults.end());
  if (fitting.empty()) return none("no VolumeSnapshotClass has the driver of StorageClass " + *storage_class + ", " + found->provisioner);
  if (fitting.size() == 1) return one(fitting.front());
  if (defaults.size() == 1) return one(defaults.front());
  if (!defaults.empty()) {
    return {ClassPick::Kind::any_of, defaults,
            "several VolumeSnapshotClasses for StorageClass " + *storage_class + " are called the default: " + base::join(defaults, ", ")};
  }
  return {ClassPick::Kind::ambiguous, fitting,
          "several VolumeSnapshotClasses fit StorageClass " + *storage_class +
              ", and none is called the default: " + base::join(fitting, ", ")};
}

bool says_ambiguous(const std::string& reason) { return reason.find("matching VolumeSnapshotClasses") != std::string::npos; }

}  // namespace vmbackup::backup
