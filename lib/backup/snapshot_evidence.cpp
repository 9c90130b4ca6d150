#include "backup/snapshot_evidence.hpp"

#include <algorithm>
#include <utility>

#include "backup/consistency.hpp"
#include "backup/evidence.hpp"
#include "backup/lookup.hpp"
#include "base/text.hpp"

namespace vmbackup::backup {

namespace {

using kubevirt::Evidence;
using kubevirt::Hold;
using kubevirt::StateSeen;

// How long before t0 a thaw may have been for KubeVirt to take its word for frozen still.
constexpr base::Duration k_stale = std::chrono::seconds(10);
// By how much whole seconds may shorten a length that is counted from one of them.
constexpr Offset k_rounding{2'000};

// Up to here what the plan saw counts as seen at the create.
constexpr base::Duration k_recent = std::chrono::minutes(1);

class Witness {
 public:
  Witness(const SnapshotSeen& seen, const SnapshotPlan& plan, const SnapshotParts& parts)
      : seen_(seen),
        guest_(seen.guest),
        plan_(plan),
        parts_(parts),
        t0_(seen.freeze && seen.freeze->sent ? *seen.freeze->sent : seen.pause_sent.value_or(seen.create_sent)) {}

  Evidence tell() {
    Evidence evidence;
    evidence.snapshot_uid = parts_.snapshot.uid;
    evidence.vm_uid = parts_.snapshot.source_uid;
    if (parts_.content) evidence.content_uid = parts_.content->uid;
    evidence.t0_wall = seen_.create_wall - (seen_.create_sent - t0_);
    evidence.hold = seen_.hold;
    evidence.guest_os = plan_.guest_os;
    evidence.create_sent = end(seen_.create_sent);
    evidence.indications = parts_.snapshot.indications;
    evidence.disks = disks_of(parts_);
    if (seen_.hold != Hold::none) evidence.assumptions = plan_.assumptions;
    assume_recent(evidence);
    for (kubevirt::EvidenceDisk& disk : *evidence.disks) {
      if (disk.included) disk.cut_seen = cut_seen(disk);
    }
    if (guest_.begun) tell_guest(evidence, last_cut(evidence));
    if (freezes(seen_.hold)) tell_freeze(evidence);
    if (!seen_.recipe.empty() && plan_.recipe) assume_steps(evidence);
    for (const StepFact& step : seen_.recipe) {
      if (!evidence.recipe) evidence.recipe.emplace();
      kubevirt::StepSeen told{step.name, {}, {}};
      if (step.ready) told.ready = end(*step.ready);
      if (step.held) told.held = begin(*step.held);
      evidence.recipe->push_back(std::move(told));
    }
    if (seen_.group) evidence.group = kubevirt::GroupSeen{seen_.group->vms, end(seen_.group->held)};
    if (seen_.hold == Hold::controller) tell_controller(evidence);
    return evidence;
  }

 private:
  Offset begin(base::TimePoint when) const { return offset_of(t0_, when, Edge::begin); }
  Offset end(base::TimePoint when) const { return offset_of(t0_, when, Edge::end); }

  // In a run of hours a VM's turn may come long after it was looked at.
  void assume_recent(Evidence& evidence) const {
    if (!plan_.running || !plan_.looked) return;
    const base::Duration age = seen_.create_sent - *plan_.looked;
    if (age <= k_recent) return;
    evidence.assumptions.push_back("who else mounts the disks, and which are hot-plugged, had not changed since that was looked at, " +
                                   base::format_duration(std::chrono::floor<std::chrono::seconds>(age)) + " before the create");
  }

  // What cannot be asked is taken on trust.
  void assume_steps(Evidence& evidence) const {
    for (const kubevirt::RecipeStep& step : plan_.recipe->steps) {
      if (!step.hold && !step.check) evidence.assumptions.push_back("what recipe step " + step.name + " did lasts: it has no check");
    }
  }

  std::optional<Offset> cut_seen(const kubevirt::EvidenceDisk& disk) const {
    std::optional<base::TimePoint> seen;
    const auto cut = seen_.cuts.find(disk.name);
    if (cut != seen_.cuts.end()) seen = cut->second;
    if (disk.creation_time && seen_.taken && (!seen || *seen_.taken < *seen)) seen = seen_.taken;
    return seen ? std::optional(end(*seen)) : std::nullopt;
  }

  void tell_guest(Evidence& evidence, const std::optional<Offset>& t1) const {
    kubevirt::InstanceSeen instance;
    instance.ran = guest_.ran;
    instance.from = end(*guest_.begun);
    instance.until = begin(seen_.until);
    instance.gap = !seen_.unbroken || guest_.too_many;
    instance.migrating = guest_.migrating;
    if (guest_.ran) {
      std::tie(instance.uid, instance.node, instance.pod) = std::tie(guest_.first.uid, guest_.first.node, guest_.first.pod);
      std::tie(instance.end_uid, instance.end_node, instance.end_pod) = std::tie(guest_.last.uid, guest_.last.node, guest_.last.pod);
      evidence.agent = states(guest_.agent);
      evidence.frozen = states(guest_.frozen);
    } else {
      instance.stopped = guest_.final_phase == "Succeeded" ? Stop::clean : guest_.final_phase == "Failed" ? Stop::killed : Stop::unknown;
    }
    evidence.instance = std::move(instance);
    evidence.pause = pause(t1);
  }

  // Rounded so that what is on never looks longer than it was.
  std::vector<StateSeen> states(const std::vector<SeenState>& seen) const {
    std::vector<StateSeen> told;
    for (const SeenState& state : seen) told.push_back({state.on ? end(state.at) : begin(state.at), state.on});
    return told;
  }

  kubevirt::PauseSeen pause(const std::optional<Offset>& t1) const {
    kubevirt::PauseSeen pause{.seen = false, .from = {}, .until = {}};
    for (std::size_t i = 0; i < guest_.paused.size(); ++i) {
      const SeenState& state = guest_.paused[i];
      if (!state.on) continue;
      const base::TimePoint over = i + 1 < guest_.paused.size() ? guest_.paused[i + 1].at : seen_.until;
      // Before t0 it is of no matter, and after the last cut neither.
      if (over <= t0_ || (t1 && begin(state.at) > *t1)) continue;
      pause.seen = true;
      pause.from = end(state.at);
      pause.until = begin(over);
    }
    return pause;
  }

  void tell_freeze(Evidence& evidence) const {
    evidence.safety_timeout = plan_.safety_timeout;
    if (!seen_.freeze) return;
    const FreezeRecord& record = *seen_.freeze;
    kubevirt::FreezeSeen freeze;
    if (record.confirmed) freeze.confirmed = end(*record.confirmed);
    freeze.error = base::printable(record.answer_text, 300);
    evidence.freeze = std::move(freeze);
    kubevirt::ThawSeen thaw;
    if (record.thaw_sent) thaw.sent = begin(*record.thaw_sent);
    if (record.thawed) thaw.confirmed = end(*record.thawed);
    if (record.not_thawed) thaw.error = base::printable(record.not_thawed->message(), 300);
    evidence.thaw = std::move(thaw);
    evidence.vss_error = record.vss_limit;
    if (guest_.begun) evidence.lock = lock();
    tell_probes(evidence);
  }

  void tell_probes(Evidence& evidence) const {
    evidence.probes.emplace();
    if (!seen_.probe) return;
    if (seen_.probe->frozen) evidence.probes->push_back({begin(*seen_.probe->frozen), true});
    if (seen_.probe->thawed) evidence.probes->push_back({begin(*seen_.probe->thawed), false});
  }

  // KubeVirt's freeze lasts for the rest of the failure deadline, counted from the object's creation in whole seconds.
  // [kubevirt 1.9.0, pkg/storage/snapshot/source.go Freeze, util.go timeUntilDeadline]
  void tell_controller(Evidence& evidence) const {
    const std::string deadline = plan_.snapshot.failure_deadline.empty() ? k_default_failure_deadline : plan_.snapshot.failure_deadline;
    const base::Result<base::Duration> length = base::parse_duration(deadline);
    if (length.ok()) evidence.safety_timeout = std::max(std::chrono::floor<Offset>(*length) - k_rounding, Offset(1));
    evidence.thaw = kubevirt::ThawSeen{.by_controller = true, .sent = {}, .confirmed = {}, .error = {}};
    evidence.vss_error = false;
    evidence.probes.emplace();
    if (guest_.begun) evidence.lock = lock();
  }

  kubevirt::LockSeen lock() const {
    kubevirt::LockSeen lock{.other = false, .became_ours = {}, .status_empty = false, .thaw_before = false, .watched = {}};
    std::optional<base::TimePoint> ours;
    for (const SeenName& entry : guest_.snapshots) {
      if (entry.name == parts_.snapshot.name && !ours) ours = entry.at;
    }
    for (std::size_t i = 0; i < guest_.snapshots.size(); ++i) {
      const SeenName& entry = guest_.snapshots[i];
      const base::TimePoint over = i + 1 < guest_.snapshots.size() ? guest_.snapshots[i + 1].at : seen_.until;
      const bool foreign = !entry.name.empty() && entry.name != parts_.snapshot.name;
      if (foreign && over > t0_ && (!ours || entry.at < *ours)) lock.other = true;
    }
    if (ours) {
      lock.became_ours = end(*ours);
      lock.status_empty = !on_at(guest_.frozen, *ours);
    }
    for (std::size_t i = 1; i < guest_.frozen.size(); ++i) {
      const SeenState& state = guest_.frozen[i];
      if (!state.on && state.at >= t0_ - k_stale && state.at <= ours.value_or(t0_)) lock.thaw_before = true;
    }
    lock.watched = std::max(Offset::zero(), offset_of(*guest_.begun, t0_, Edge::begin));
    lock.thaw_before = lock.thaw_before || seen_.thawed_before;
    return lock;
  }

  static bool on_at(const std::vector<SeenState>& states, base::TimePoint when) {
    bool on = false;
    for (const SeenState& state : states) {
      if (state.at <= when) on = state.on;
    }
    return on;
  }

  const SnapshotSeen& seen_;
  const GuestHistory& guest_;
  const SnapshotPlan& plan_;
  const SnapshotParts& parts_;
  const base::TimePoint t0_;
};

}  // namespace

Evidence evidence_from(const SnapshotSeen& seen, const SnapshotPlan& plan, const SnapshotParts& parts) {
  return Witness(seen, plan, parts).tell();
}

}  // namespace vmbackup::backup
