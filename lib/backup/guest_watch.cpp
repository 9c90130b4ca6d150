#include "backup/guest_watch.hpp"

#include <algorithm>
#include <utility>

#include "backup/held_mark.hpp"
#include "kube/object_meta.hpp"
#include "kube/resource_version.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Result;
using kubevirt::VirtualMachine;
using kubevirt::VirtualMachineInstance;

// Beyond this many namespaces one watch of them all is cheaper.
constexpr std::size_t k_most_namespaces = 8;
// Of one kind: a guest that changes more often tells nothing, and its evidence must stay small.
constexpr std::size_t k_most_changes = 48;
// How often it is looked whether the watch has come as far as a read; it lags behind by milliseconds.
constexpr base::Duration k_follow_step = std::chrono::milliseconds(5);

}  // namespace

void SightKeeper::mark() {
  sight_.frozen_seen.reset();
  sight_.thawed_seen.reset();
}

void SightKeeper::note(std::vector<SeenState>& states, bool on, base::TimePoint now) {
  if (!states.empty() && states.back().on == on) return;
  if (states.size() >= k_most_changes) {
    history_.too_many = true;
  } else {
    states.push_back({now, on});
  }
}

void SightKeeper::note(const VirtualMachineInstance& vmi, base::TimePoint now) {
  if (vmi.final()) {
    history_.final_phase = vmi.phase;
  } else {
    history_.last = {vmi.uid, vmi.node, vmi.active_pod};
    if (!std::exchange(history_.ran, true)) history_.first = history_.last;
  }
  history_.migrating = history_.migrating || vmi.migrating;
  note(history_.agent, vmi.agent_connected, now);
  note(history_.paused, vmi.paused, now);
  note(history_.frozen, vmi.fs_freeze_status == "frozen", now);
}

void SightKeeper::see(const VirtualMachine& vm, base::TimePoint now) {
  standing_.version = vm.resource_version;
  standing_.held_mark = vm.annotation(k_held_annotation);
  std::vector<SeenName>& names = history_.snapshots;
  if (names.empty() || names.back().name != vm.snapshot_in_progress) {
    if (names.size() < k_most_changes) {
      names.push_back({now, vm.snapshot_in_progress});
    } else {
      history_.too_many = true;
    }
  }
  if (!vm.snapshot_in_progress.empty()) sight_.other_work = "snapshot " + vm.snapshot_in_progress + " of it was under way";
  if (!vm.restore_in_progress.empty()) sight_.other_work = "restore " + vm.restore_in_progress + " of it was under way";
}

void SightKeeper::see(const VirtualMachineInstance& vmi, base::TimePoint now) {
  note(vmi, now);
  standing_.instance = vmi.final() ? std::string() : vmi.uid;
  standing_.instance_version = vmi.resource_version;
  standing_.paused = vmi.paused;
  if (uid_.empty()) {
    uid_ = vmi.uid;
    node_ = vmi.node;
  }
  if (vmi.uid != uid_ || vmi.final()) {
    sight_.instance_ended = true;
    return;
  }
  sight_.moved = sight_.moved || vmi.node != node_ || vmi.migrating;
  sight_.agent_lost = sight_.agent_lost || !vmi.agent_connected;
  sight_.paused = sight_.paused || vmi.paused;
  if (!vmi.backup_in_progress.empty()) sight_.other_work = "VirtualMachineBackup " + vmi.backup_in_progress + " of it was under way";
  const bool frozen = vmi.fs_freeze_status == "frozen";
  if (frozen && !sight_.frozen_seen) sight_.frozen_seen = now;
  if (!frozen && sight_.frozen_seen && !sight_.thawed_seen) sight_.thawed_seen = now;
}

bool SightKeeper::reached(const std::string& version) const {
  return !version.empty() && (standing_.instance_version == version || kube::is_older(version, standing_.instance_version));
}

void SightKeeper::see_gone(base::TimePoint now) {
  standing_.instance.clear();
  sight_.instance_ended = true;
  if (history_.ran) note(history_.agent, false, now);
}

GuestWatch::GuestWatch(kube::Client& client, base::Clock& clock, const std::vector<kube::Name>& vms, bool thread)
    : clock_(clock), own_thread_(thread), follower_(client, clock) {
  std::map<std::string, std::vector<std::string>> spaces;
  for (const kube::Name& vm : vms) {
    keepers_.emplace(vm, SightKeeper()).first->second.sight().unbroken = true;
    spaces[vm.ns].push_back(vm.name);
  }
  if (spaces.size() > k_most_namespaces) spaces = {{"", {}}};
  for (const auto& [ns, names] : spaces) {
    kube::Follower::Options options{.label_selector = {}, .field_selector = {}, .optional = true};
    if (names.size() == 1) options.field_selector = "metadata.name=" + names.front();
    sources_[follower_.follow(kubevirt::virtual_machines(), ns, options)] = false;
    instance_sources_.push_back(follower_.follow(kubevirt::virtual_machine_instances(), ns, options));
    sources_[instance_sources_.back()] = false;
  }
}

GuestWatch::~GuestWatch() = default;

bool GuestWatch::begin(const base::Deadline& deadline, const std::stop_token& stop) {
  while (!told_) {
    const Result<kube::Change> change = follower_.next(deadline, stop);
    const std::lock_guard lock(mutex_);
    if (!change.ok()) {
      lose();
      return false;
    }
    take(*change);
  }
  if (own_thread_) thread_ = std::jthread([this](const std::stop_token& end) { run(end); });
  return true;
}

void GuestWatch::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const Result<kube::Change> change = follower_.next(base::Deadline::never(), stop);
    const std::lock_guard lock(mutex_);
    // All sources are optional, so this is the stop, or nothing that would heal.
    if (!change.ok()) return lose();
    take(*change);
  }
}

// Nobody looks any more. With the lock held.
void GuestWatch::lose() {
  for (auto& [name, keeper] : keepers_) keeper.sight().unbroken = false;
}

// With the lock held.
void GuestWatch::take(const kube::Change& change) {
  using Type = kube::Change::Type;
  if (change.type == Type::synced || change.type == Type::lost) {
    sources_[change.source] = true;
    told_ = std::all_of(sources_.begin(), sources_.end(), [](const auto& source) { return source.second; });
    for (auto& [name, keeper] : keepers_) {
      if (told_ && !keeper.history().begun) keeper.history().begun = clock_.now();
    }
  }
  if (change.type == Type::gap || change.type == Type::lost) {
    for (auto& [name, keeper] : keepers_) {
      keeper.sight().unbroken = false;
      if (change.error) keeper.sight().unseen = change.error;
    }
  }
  if (change.type != Type::present && change.type != Type::gone) return;
  const auto keeper = keepers_.find(kube::name_of(change.object));
  if (keeper == keepers_.end()) return;
  const bool instance = std::find(instance_sources_.begin(), instance_sources_.end(), change.source) != instance_sources_.end();
  if (change.type == Type::gone) {
    instance ? keeper->second.see_gone(clock_.now()) : keeper->second.see_vm_gone();
    return;
  }
  if (instance) {
    const Result<VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(change.object);
    vmi.ok() ? keeper->second.see(*vmi, clock_.now()) : keeper->second.miss();
  } else {
    const Result<VirtualMachine> vm = kubevirt::decode_virtual_machine(change.object);
    vm.ok() ? keeper->second.see(*vm, clock_.now()) : keeper->second.miss();
  }
}

void GuestWatch::mark(const kube::Name& vm) {
  const std::lock_guard lock(mutex_);
  const auto keeper = keepers_.find(vm);
  if (keeper != keepers_.end()) keeper->second.mark();
}

// What has come by now. A deadline that has passed would take none of it.
void GuestWatch::catch_up() {
  if (own_thread_ || !told_) return;
  for (;;) {
    const Result<kube::Change> change = follower_.next(base::Deadline::after(clock_, std::chrono::nanoseconds(1)), {});
    if (!change.ok()) return;
    take(*change);
  }
}

Sight GuestWatch::look(const kube::Name& vm) {
  catch_up();
  const std::lock_guard lock(mutex_);
  const auto keeper = keepers_.find(vm);
  return keeper == keepers_.end() ? Sight{} : keeper->second.sight();
}

GuestHistory GuestWatch::history(const kube::Name& vm) {
  catch_up();
  const std::lock_guard lock(mutex_);
  const auto keeper = keepers_.find(vm);
  return keeper == keepers_.end() ? GuestHistory{} : keeper->second.history();
}

std::optional<Standing> GuestWatch::standing(const kube::Name& vm) {
  catch_up();
  const std::lock_guard lock(mutex_);
  const auto keeper = keepers_.find(vm);
  if (keeper == keepers_.end() || !keeper->second.sight().unbroken) return std::nullopt;
  const Standing& standing = keeper->second.standing();
  return standing.version.empty() || standing.instance.empty() ? std::nullopt : std::optional<Standing>(standing);
}

bool GuestWatch::follow_to(const kube::Name& vm, const std::string& version, const base::Deadline& deadline) {
  for (;;) {
    catch_up();
    {
      const std::lock_guard lock(mutex_);
      const auto keeper = keepers_.find(vm);
      if (keeper == keepers_.end()) return false;
      if (keeper->second.reached(version)) return true;
    }
    if (deadline.passed(clock_)) return false;
    clock_.sleep_until(std::min(clock_.now() + k_follow_step, deadline.when()), {});
  }
}

}  // namespace vmbackup::backup
