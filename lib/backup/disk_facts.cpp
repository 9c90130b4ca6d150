#include "backup/disk_facts.hpp"

#include <algorithm>
#include <functional>
#include <set>

#include "base/parallel.hpp"
#include "kubevirt/persistent_state.hpp"
#include "kubevirt/resources.hpp"
#include "kubevirt/storage.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t k_at_once = 8;

// What is read of one namespace; each part only where it may be read.
struct Space {
  std::string ns;
  std::set<std::string> vms;
  std::set<std::string> with_state;  // of the VMs
  std::set<std::string> wanted;      // claims
  std::optional<std::vector<kubevirt::PersistentVolumeClaim>> claims;
  std::map<std::string, std::string> states;  // claims, by VM; empty for one that has none
  std::optional<std::vector<kubevirt::DataVolume>> data_volumes;
  std::optional<std::vector<kubevirt::Pod>> pods;
  std::optional<std::vector<kubevirt::VirtualMachineInstance>> instances;
  std::vector<std::string> unknown;
  std::optional<Error> error;
};

struct Reader {
  kube::Client& client;
  const kube::Call& call;
  const std::stop_token& stop;

  // All objects of a kind that `keep` wants. None: they may not be read, and `unknown` has a sentence more.
  template <typename Item>
  Result<std::optional<std::vector<Item>>> all(const kube::Resource& resource, const std::string& ns,
                                               Result<Item> (*decode)(const json::Value&), const std::function<bool(const Item&)>& keep,
                                               const std::string& not_known, std::vector<std::string>& unknown) const {
    std::vector<Item> items;
    kube::ListSink sink;
    sink.begin = [&] { items.clear(); };
    sink.take = [&](const json::Value& object) -> Result<void> {
      Result<Item> item = decode(object);
      if (!item.ok()) return item.error();
      if (keep(*item)) items.push_back(std::move(*item));
      return {};
    };
    const Result<std::string> read = client.list_each(resource, ns, {}, sink, call, stop);
    if (read.ok()) return std::optional(std::move(items));
    if (read.error().code() == ErrorCode::not_found) return std::optional(std::vector<Item>());
    if (read.error().code() != ErrorCode::forbidden) return read.error().wrap("look at the disks");
    unknown.push_back(not_known + " is not known, because " + resource.plural + (ns.empty() ? "" : " in namespace " + ns) +
                      " may not be read");
    return std::optional<std::vector<Item>>();
  }
};

bool has_wanted(const std::vector<std::string>& claims, const std::set<std::string>& wanted) {
  return std::any_of(claims.begin(), claims.end(), [&](const std::string& claim) { return wanted.count(claim) > 0; });
}

std::vector<std::string> claims_of(const kubevirt::VirtualMachineInstance& vmi) {
  std::vector<std::string> claims;
  for (const kubevirt::Volume& volume : vmi.volumes) {
    if (!volume.claim.empty()) claims.push_back(volume.claim);
  }
  return claims;
}

template <typename Item>
bool take(Result<std::optional<std::vector<Item>>> from, std::optional<std::vector<Item>>& to, std::optional<Error>& error) {
  if (from.ok()) {
    to = std::move(*from);
  } else {
    error = from.error();
  }
  return !error;
}

// Of several for one VM the newest counts that is not being deleted, as for KubeVirt.
std::map<std::string, std::string> states_of(const std::vector<kubevirt::PersistentVolumeClaim>& claims, const std::set<std::string>& vms) {
  std::map<std::string, const kubevirt::PersistentVolumeClaim*> newest;
  for (const kubevirt::PersistentVolumeClaim& claim : claims) {
    if (vms.count(claim.state_of) == 0) continue;
    const kubevirt::PersistentVolumeClaim*& known = newest[claim.state_of];
    const bool better = known == nullptr || (claim.deleting ? false : known->deleting || claim.created > known->created);
    if (better) known = &claim;
  }
  std::map<std::string, std::string> states;
  for (const std::string& vm : vms) states[vm] = newest.count(vm) > 0 ? newest[vm]->name : std::string();
  return states;
}

void read_space(const Reader& reader, Space& space) {
  std::set<std::string>& wanted = space.wanted;
  const auto claims = reader.all<kubevirt::PersistentVolumeClaim>(
      kubevirt::persistent_volume_claims(), space.ns, kubevirt::decode_claim,
      [&](const kubevirt::PersistentVolumeClaim& claim) {
        return wanted.count(claim.name) > 0 || space.with_state.count(claim.state_of) > 0;
      },
      "whether the claims of the disks can be used, and their classes", space.unknown);
  if (!take(claims, space.claims, space.error)) return;
  if (space.claims) space.states = states_of(*space.claims, space.with_state);
  for (const auto& [vm, claim] : space.states) {
    if (!claim.empty()) wanted.insert(claim);
  }
  // A claim that is missing may be about to be made by the DataVolume of its name.
  std::set<std::string> owners;
  if (space.claims) {
    owners = wanted;
    for (const kubevirt::PersistentVolumeClaim& claim : *space.claims) owners.erase(claim.name);
    for (const kubevirt::PersistentVolumeClaim& claim : *space.claims) owners.insert(claim.data_volume);
  }
  owners.erase("");
  if (!owners.empty()) {
    const auto data_volumes = reader.all<kubevirt::DataVolume>(
        kubevirt::data_volumes(), space.ns, kubevirt::decode_data_volume,
        [&](const kubevirt::DataVolume& volume) { return owners.count(volume.name) > 0; }, "whether claims are populated", space.unknown);
    if (!take(data_volumes, space.data_volumes, space.error)) return;
  }
  // Pods of pods: that of a hot-plugged disk names only the instance's pod.
  const auto pods = reader.all<kubevirt::Pod>(
      kubevirt::pods(), space.ns, kubevirt::decode_pod,
      [&](const kubevirt::Pod& pod) { return !pod.succeeded && (!pod.instance.empty() || has_wanted(pod.claims, wanted)); },
      "whether other pods use the disks", space.unknown);
  if (!take(pods, space.pods, space.error)) return;
  const auto instances = reader.all<kubevirt::VirtualMachineInstance>(
      kubevirt::virtual_machine_instances(), space.ns, kubevirt::decode_virtual_machine_instance,
      [&](const kubevirt::VirtualMachineInstance& vmi) {
        return space.vms.count(vmi.name) > 0 || (!vmi.final() && has_wanted(claims_of(vmi), wanted));
      },
      "whether other VMs mount the disks", space.unknown);
  take(instances, space.instances, space.error);
}

Result<std::optional<StorageClasses>> read_classes(const Reader& reader, std::vector<std::string>& unknown) {
  const std::string what = "which VolumeSnapshotClass KubeVirt picks";
  const auto any = [](const auto&) { return true; };
  StorageClasses classes;
  // The first kind that may not be read is enough.
  const auto storage =
      reader.all<kubevirt::StorageClass>(kubevirt::storage_classes(), "", kubevirt::decode_storage_class, any, what, unknown);
  if (!storage.ok()) return storage.error();
  if (!*storage) return std::optional<StorageClasses>();
  classes.storage = **storage;
  const auto snapshot = reader.all<kubevirt::VolumeSnapshotClass>(kubevirt::volume_snapshot_classes(), "",
                                                                  kubevirt::decode_volume_snapshot_class, any, what, unknown);
  if (!snapshot.ok()) return snapshot.error();
  if (!*snapshot) return std::optional<StorageClasses>();
  classes.snapshot = **snapshot;
  const auto profiles =
      reader.all<kubevirt::StorageProfile>(kubevirt::storage_profiles(), "", kubevirt::decode_storage_profile, any, what, unknown);
  if (!profiles.ok()) return profiles.error();
  if (!*profiles) return std::optional<StorageClasses>();
  classes.profiles = **profiles;
  return std::optional(std::move(classes));
}

// ---- put together ----

std::vector<PodUse> uses_of(const std::vector<kubevirt::Pod>& pods, const std::string& claim) {
  std::vector<PodUse> uses;
  for (const kubevirt::Pod& pod : pods) {
    if (std::find(pod.claims.begin(), pod.claims.end(), claim) == pod.claims.end()) continue;
    PodUse use{pod.name, pod.instance, pod.failed, pod.deleting};
    for (const kubevirt::Pod& owner : pods) {
      if (!pod.owner_pod.empty() && owner.name == pod.owner_pod) use.instance = owner.instance;
    }
    uses.push_back(std::move(use));
  }
  std::sort(uses.begin(), uses.end(), [](const PodUse& a, const PodUse& b) { return a.pod < b.pod; });
  return uses;
}

// Nothing where there is none of that name.
const kubevirt::DataVolume* data_volume_of(const std::string& name, const Space& space) {
  const auto found = std::find_if(space.data_volumes->begin(), space.data_volumes->end(),
                                  [&](const kubevirt::DataVolume& volume) { return volume.name == name; });
  return found == space.data_volumes->end() ? nullptr : &*found;
}

// A new one has no phase yet.
std::string phase_of(const kubevirt::DataVolume& volume) { return volume.phase.empty() ? "Pending" : volume.phase; }

void add_class(const kubevirt::PersistentVolumeClaim& claim, const std::optional<StorageClasses>& classes, ClaimFacts& facts) {
  facts.storage_class = claim.storage_class.value_or("");
  if (!classes) return;
  facts.pick = pick_class(claim.storage_class, *classes);
  facts.class_exists = false;
  for (const kubevirt::StorageClass& each : classes->storage) {
    if (each.name != facts.storage_class) continue;
    facts.class_exists = true;
    facts.waits_for_consumer = each.waits_for_consumer;
  }
}

ClaimFacts facts_of(const std::string& name, const Space& space, const std::optional<StorageClasses>& classes) {
  ClaimFacts facts;
  if (space.pods) facts.pods = uses_of(*space.pods, name);
  if (space.instances) {
    facts.instances.emplace();
    for (const kubevirt::VirtualMachineInstance& vmi : *space.instances) {
      if (!vmi.final() && has_wanted(claims_of(vmi), {name})) facts.instances->push_back(vmi.name);
    }
    std::sort(facts.instances->begin(), facts.instances->end());
  }
  if (!space.claims) return facts;
  facts.state = ClaimFacts::State::missing;
  if (space.data_volumes) {
    const kubevirt::DataVolume* maker = data_volume_of(name, space);
    facts.data_volume = maker == nullptr ? "" : name;
    facts.data_volume_phase = maker == nullptr ? "" : phase_of(*maker);
  }
  for (const kubevirt::PersistentVolumeClaim& claim : *space.claims) {
    if (claim.name != name) continue;
    facts.state = ClaimFacts::State::present;
    facts.deleting = claim.deleting;
    facts.bound = claim.bound;
    facts.lost = claim.lost;
    facts.scheduled = claim.scheduled;
    facts.data_volume = claim.data_volume;
    facts.data_volume_phase.reset();
    if (space.data_volumes && !claim.data_volume.empty()) {
      const kubevirt::DataVolume* filler = data_volume_of(claim.data_volume, space);
      facts.data_volume_phase = filler == nullptr ? "" : phase_of(*filler);
    }
    facts.volume_mode = claim.volume_mode;
    add_class(claim, classes, facts);
  }
  return facts;
}

}  // namespace

std::optional<bool> ClaimFacts::populated() const {
  if (data_volume.empty()) return true;
  if (!data_volume_phase) return std::nullopt;
  return *data_volume_phase == "Succeeded";
}

bool keeps_state(const kubevirt::VirtualMachine& vm) {
  const std::string name = kubevirt::state_volume_of(vm.name);
  return vm.persistent_state || std::any_of(vm.snapshot_support.begin(), vm.snapshot_support.end(),
                                            [&](const kubevirt::VolumeSnapshotSupport& support) { return support.name == name; });
}

ClaimFacts DiskFacts::of(const std::string& ns, const std::string& claim) const {
  const auto found = claims.find({ns, claim});
  return found == claims.end() ? ClaimFacts() : found->second;
}

Result<DiskFacts> read_disk_facts(kube::Client& client, const std::vector<kubevirt::VirtualMachine>& vms, const kube::Call& call,
                                  const std::stop_token& stop) {
  std::map<std::string, Space> by_name;
  for (const kubevirt::VirtualMachine& vm : vms) {
    for (const kubevirt::Volume& volume : vm.volumes) {
      if (!volume.claim.empty()) by_name[vm.ns].wanted.insert(volume.claim);
    }
    if (keeps_state(vm) || vm.has_preference) by_name[vm.ns].with_state.insert(vm.name);
  }
  DiskFacts facts;
  if (by_name.empty()) return facts;
  for (const kubevirt::VirtualMachine& vm : vms) {
    if (const auto space = by_name.find(vm.ns); space != by_name.end()) space->second.vms.insert(vm.name);
  }
  std::vector<Space> spaces;
  for (auto& [ns, space] : by_name) {
    space.ns = ns;
    spaces.push_back(std::move(space));
  }
  const Reader reader{client, call, stop};
  base::for_each_parallel(spaces.size(), k_at_once, [&](std::size_t i) { read_space(reader, spaces[i]); });
  for (const Space& space : spaces) {
    if (space.error) return *space.error;
    facts.unknown.insert(facts.unknown.end(), space.unknown.begin(), space.unknown.end());
  }
  const Result<std::optional<StorageClasses>> classes = read_classes(reader, facts.unknown);
  if (!classes.ok()) return classes.error();
  for (const Space& space : spaces) {
    if (space.instances) {
      std::map<std::string, kubevirt::VirtualMachineInstance>& instances = facts.instances[space.ns];
      for (const kubevirt::VirtualMachineInstance& vmi : *space.instances) {
        if (space.vms.count(vmi.name) > 0) instances.emplace(vmi.name, vmi);
      }
    }
    for (const auto& [vm, claim] : space.states) facts.states.emplace(kube::Name{space.ns, vm}, claim);
    for (const std::string& claim : space.wanted) facts.claims.emplace(kube::Name{space.ns, claim}, facts_of(claim, space, *classes));
  }
  return facts;
}

std::vector<std::string> other_instances(const ClaimFacts& facts, const std::string& vm) {
  std::vector<std::string> others = facts.instances.value_or(std::vector<std::string>());
  std::erase(others, vm);
  return others;
}

}  // namespace vmbackup::backup
