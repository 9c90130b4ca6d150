// Which guests stand still, who holds them, and which of them may be let go.
#include <algorithm>
#include <map>
#include <set>

#include "backup/lock.hpp"
#include "backup/run_id.hpp"
#include "backup/thaw.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::ErrorCode;
using base::Result;

constexpr base::Duration k_look_again = std::chrono::seconds(1);
constexpr base::Duration k_stale_status = std::chrono::seconds(7);
constexpr base::Duration k_longest = std::chrono::minutes(10);

using Leases = std::map<kube::Name, kube::Lease>;

Result<Leases> read_leases(kube::Client& client, const std::string& ns, const kube::Call& call, const std::stop_token& stop) {
  const Result<std::vector<kube::Lease>> list =
      kube::list_leases(client, ns, std::string(k_managed_by_label) + "=" + k_managed_by, call, stop);
  if (!list.ok()) return list.error();
  Leases leases;
  for (const kube::Lease& lease : *list) leases.emplace(lease.name, lease);
  return leases;
}

// Called frozen, and by nobody that we know: perhaps only an old word, from before the last thaw.
bool may_be_stale(const ThawItem& item) {
  const ThawFacts& facts = item.facts;
  return facts.frozen && !facts.named && !facts.leased && !facts.marked && facts.snapshot_in_progress.empty();
}

// Looks again at those until their status must be fresh.
void await_fresh_status(kube::Client& client, base::Clock& clock, std::vector<ThawItem>& items, const base::Deadline& deadline,
                        const std::stop_token& stop) {
  const base::Deadline fresh = base::Deadline::after(clock, k_stale_status).sooner(deadline);
  while (std::any_of(items.begin(), items.end(), may_be_stale) && !fresh.passed(clock)) {
    if (!clock.sleep_until(clock.now() + k_look_again, stop)) return;
    for (ThawItem& item : items) {
      if (!may_be_stale(item)) continue;
      const Result<json::Value> object = client.get(kubevirt::virtual_machine_instances(), item.facts.vm, {.deadline = deadline}, stop);
      if (!object.ok()) continue;
      const Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(*object);
      item.facts.frozen = !vmi.ok() || vmi->fs_freeze_status == "frozen";
    }
  }
  std::erase_if(items, [](const ThawItem& item) {
    const ThawFacts& facts = item.facts;
    return !facts.named && !facts.frozen && !facts.marked && !facts.leased;
  });
}

bool wants_expiry(const ThawItem& item, bool force) {
  const ThawFacts& facts = item.facts;
  return !facts.named && !force && facts.leased && !facts.lease_expired && (facts.frozen || facts.marked || !facts.running);
}

// Looks at the leases until each that matters has run out before our eyes, or has changed and so lives.
void await_expiry(kube::Client& client, base::Clock& clock, std::vector<ThawItem>& items, const std::string& ns, bool force,
                  const base::Deadline& deadline, const std::stop_token& stop) {
  const base::TimePoint begin = clock.now();
  std::set<kube::Name> alive;
  for (;;) {
    base::TimePoint next = base::TimePoint::max();
    for (ThawItem& item : items) {
      if (!wants_expiry(item, force) || alive.count(item.facts.vm) > 0) continue;
      const base::TimePoint end = begin + std::min(item.lease->duration, k_longest);
      item.facts.lease_expired = item.lease->holder.empty() || clock.now() >= end;
      if (!item.facts.lease_expired) next = std::min(next, end);
    }
    if (next == base::TimePoint::max() || deadline.passed(clock)) return;
    if (!clock.sleep_until(std::min({next, clock.now() + k_look_again, deadline.when()}), stop)) return;
    const Result<Leases> now = read_leases(client, ns, {.deadline = deadline}, stop);
    if (!now.ok()) continue;
    for (ThawItem& item : items) {
      if (!item.lease) continue;
      const auto found = now->find(item.lease->name);
      // One that went was given back by its run, which let the guest go.
      const bool same = found != now->end() && found->second.resource_version == item.lease->resource_version;
      if (!same) alive.insert(item.facts.vm);
    }
  }
}

ThawItem item_of(const kubevirt::VirtualMachine& vm, const std::optional<kubevirt::VirtualMachineInstance>& vmi, const Leases& leases,
                 base::WallTime now) {
  ThawItem item;
  ThawFacts& facts = item.facts;
  facts.vm = {vm.ns, vm.name};
  item.vm_uid = vm.uid;
  facts.snapshot_in_progress = vm.snapshot_in_progress;
  item.mark = vm.annotation(k_held_annotation);
  facts.marked = !item.mark.empty();
  const HeldMark mark = read_held_mark(item.mark);
  facts.run = mark.run;
  if (mark.since) facts.held_for = std::max(base::Duration::zero(), now - *mark.since);
  if (vmi) {
    facts.running = vmi->phase == "Running";
    facts.agent = vmi->agent_connected;
    facts.frozen = vmi->fs_freeze_status == "frozen";
    facts.paused = vmi->paused;
    item.vmi_uid = vmi->uid;
  }
  const auto lease = leases.find({vm.ns, lease_name(vm.name)});
  if (lease == leases.end()) return item;
  item.lease = lease->second;
  facts.leased = true;
  facts.run = run_of(lease->second);
  if (lease->second.created) facts.held_for = std::max(base::Duration::zero(), now - *lease->second.created);
  return item;
}

}  // namespace

ThawChoice choose(const ThawFacts& facts, bool force, const std::optional<base::Duration>& older_than) {
  const bool stale_lease = facts.leased && facts.lease_expired;
  const auto leave = [](std::string why) { return ThawChoice{ThawDecision::leave, std::move(why), false}; };
  if (!facts.running) return {ThawDecision::nothing, "it is not running", stale_lease};
  if (!facts.snapshot_in_progress.empty() && !force) {
    return leave("snapshot " + facts.snapshot_in_progress +
                 " of it is in progress: KubeVirt thaws it at the end, and a thaw now would tear " + "that snapshot");
  }
  if (facts.named) return {ThawDecision::let_go, {}, false};
  if (!facts.frozen && !facts.marked) {
    // The status is a poll: a guest that has just been frozen is not called so yet.
    const bool perhaps = facts.leased && !facts.lease_expired;
    return {ThawDecision::nothing,
            perhaps ? "run " + facts.run + " holds its lock; its status does not call it frozen" : "it is not frozen", stale_lease};
  }
  const bool ours = facts.leased || facts.marked;
  if (!ours && !force) return leave("it was not frozen by this tool");
  if (facts.leased && !facts.lease_expired && !force) return leave("run " + facts.run + " holds it and is under way");
  if (older_than && (!facts.held_for || *facts.held_for < *older_than)) {
    return leave(facts.held_for
                     ? "it has been held for " + base::format_duration(std::chrono::floor<std::chrono::seconds>(*facts.held_for)) + " only"
                     : "since when it is held is not known");
  }
  return {ThawDecision::let_go, {}, false};
}

Result<ThawPlan> plan_thaw(kube::Client& client, base::Clock& clock, const ThawRequest& request, const base::Deadline& deadline,
                           const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const Result<Selected> selected = select_vms(client, request.selection, call, stop);
  if (!selected.ok()) return selected.error();
  const auto instances = instances_of(client, selected->vms, call, stop);
  if (!instances.ok()) return instances.error();
  ThawPlan plan{request.run, {}, {}};
  if (selected->vms.empty()) return plan;
  const std::string ns = request.selection.all_namespaces ? "" : request.selection.ns;
  Result<Leases> leases = read_leases(client, ns, call, stop);
  if (!leases.ok()) {
    if (leases.error().code() != ErrorCode::forbidden) return leases.error();
    plan.no_leases = leases.error();
    leases = Leases{};
  }
  const bool named = !request.selection.names.empty();
  for (std::size_t i = 0; i < selected->vms.size(); ++i) {
    ThawItem item = item_of(selected->vms[i], (*instances)[i], *leases, clock.wall_now());
    item.facts.named = named;
    if (named || item.facts.frozen || item.facts.marked || item.facts.leased) plan.items.push_back(std::move(item));
  }
  await_fresh_status(client, clock, plan.items, deadline, stop);
  await_expiry(client, clock, plan.items, ns, request.force, deadline, stop);
  for (ThawItem& item : plan.items) item.choice = choose(item.facts, request.force, request.older_than);
  return plan;
}

}  // namespace vmbackup::backup
