// What is kept and told of one VM once its disks are cut, or nothing more will come.
#include <algorithm>
#include <utility>

#include "backup/consistency.hpp"
#include "backup/evidence.hpp"
#include "backup/inventory.hpp"
#include "backup/snapshot_create.hpp"
#include "backup/snapshot_job.hpp"
#include "kube/object_meta.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Duration k_delete_limit = std::chrono::seconds(30);
constexpr base::Duration k_compare_limit = std::chrono::seconds(5);
constexpr base::Duration k_record_limit = std::chrono::seconds(10);

bool is_included(const DiskReport& disk) { return disk.included; }

}  // namespace

// Takes no stop token: what was cut before a signal keeps its evidence.
void SnapshotJob::record(SnapshotParts parts) {
  recorded_ = true;
  if (guests_ == nullptr || parts.snapshot.phase != kubevirt::SnapshotPhase::succeeded) return;
  if (taken_up_) {
    // Nobody saw here what was seen then: it was kept, or there is less to show.
    item_ = assemble(parts);
    add_level(parts, false, item_);
    judged_ = item_.judged;
    // Who took it may still be about to record what was seen.
    if (options_.delete_weaker && judged_->source == EvidenceSource::recorded) remove_weaker();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    seen_.cuts = cuts_;
  }
  base::TimePoint last = seen_.taken.value_or(seen_.create_sent);
  for (const auto& [disk, when] : seen_.cuts) last = std::max(last, when);
  ground_.clock.sleep_until(last + k_beyond_rounding, {});
  thaw_after_controller(true);
  if (guard_) seen_.freeze = guard_->record();
  seen_.until = ground_.clock.now();
  const bool followed = follow_to_now();
  seen_.guest = guests_->history(plan_.target.vm);
  seen_.unbroken = followed && guests_->look(plan_.target.vm).unbroken && !lock_lost_;
  item_ = assemble(parts);
  add_facts();
  const kubevirt::Evidence evidence = evidence_from(seen_, plan_, parts);
  const base::Deadline deadline = base::Deadline::after(ground_.clock, k_record_limit);
  const Result<void> kept =
      record_evidence(ground_.client, plan_.api_version, {item_.ns, item_.name}, evidence, {.deadline = deadline}, {});
  judge(evidence, kept.ok() ? std::string() : kept.error().message());
  if (options_.delete_weaker) remove_weaker();
}

// The watch may lag behind the cuts: it has to have told what a read shows after them.
bool SnapshotJob::follow_to_now() {
  const base::Deadline deadline = base::Deadline::after(ground_.clock, k_compare_limit);
  const kube::Name& vm = plan_.target.vm;
  const Result<json::Value> object =
      ground_.client.get(kubevirt::virtual_machine_instances(), vm, {.deadline = deadline, .repeat = false}, {});
  if (!object.ok()) return object.error().code() == ErrorCode::not_found && !guests_->history(vm).ran;
  return guests_->follow_to(vm, kube::meta(*object, "resourceVersion"), deadline);
}

void SnapshotJob::judge(const kubevirt::Evidence& evidence, const std::string& unrecorded) {
  if (!unrecorded.empty()) remarks_.push_back("the evidence could not be kept, so that later only less can be shown: " + unrecorded);
  Verdict verdict = verdict_of({EvidenceSource::recorded, evidence, {}});
  judged_ = std::make_shared<const Judged>(Judged{std::move(verdict), EvidenceSource::recorded, evidence});
}

void SnapshotJob::remove_weaker() {
  const Level required = options_.require.value_or(Level::unknown);
  if (meets(judged_->verdict.level, required, judged_->evidence)) return;
  const base::Deadline deadline = base::Deadline::after(ground_.clock, k_delete_limit);
  const DeleteItem gone =
      delete_snapshot(ground_.client, ground_.clock, ground_.observer, delete_plan_of(item_, plan_.api_version), true, deadline, {});
  removed_ = !gone.error;
  remarks_.push_back(removed_ ? "it was deleted again (--delete-weaker): it is " + std::string(to_string(judged_->verdict.level)) +
                                    ", not " + to_string(required)
                              : "it is weaker than asked and could not be deleted: " + gone.error->message());
}

// ---- the end ----

void SnapshotJob::add_facts() {
  if (recipe_) item_.steps = recipe_->report();
  if (unreleased_ && !item_.error) fail(*unreleased_);
  if (plan_.hold == kubevirt::Hold::none || guests_ == nullptr || taken_up_) return;
  FreezeFacts facts;
  const std::optional<FreezeRecord> own = guard_ ? std::optional(guard_->record()) : seen_.freeze;
  facts.by = kubevirt::to_string(seen_.hold);
  for (const std::optional<FreezeRecord>& record : {own, afterwards_}) {
    if (!record) continue;
    facts.held = facts.held || record->not_thawed;
    if (record->sent) facts.sent = wall(*record->sent);
    if (record->confirmed) facts.confirmed = wall(*record->confirmed);
    if (record->thawed) facts.thaw_confirmed = wall(*record->thawed);
    if (record->thawed && record->sent) facts.window_seconds = base::to_seconds(*record->thawed - *record->sent);
    if (record->thawed) facts.thawed_by = record->thawed_by;
  }
  if (pause_) {
    const PauseRecord& record = pause_->record();
    facts.held = facts.held || record.not_unpaused;
    if (!facts.sent && record.sent) facts.sent = wall(*record.sent);
    if (!facts.confirmed && record.confirmed) facts.confirmed = wall(*record.confirmed);
    if (!own && record.unpaused) facts.thaw_confirmed = wall(*record.unpaused);
    if (!own && record.unpaused && record.sent) facts.window_seconds = base::to_seconds(*record.unpaused - *record.sent);
    if (!own) facts.thawed_by = record.unpaused_by;
    if (record.not_unpaused) fail(*record.not_unpaused);
  }
  if (facts.held) {
    if (own && own->not_thawed) fail(*own->not_thawed);
    if (afterwards_ && afterwards_->not_thawed) fail(*afterwards_->not_thawed);
  }
  item_.freeze = std::move(facts);
}

void SnapshotJob::finish_unwatched() {
  item_ = assemble({.snapshot = created_, .content = {}, .volume_snapshots = {}, .planned = plan_.disks});
  item_.outcome = Outcome::done;
  item_.reasons.insert(item_.reasons.end(), remarks_.begin(), remarks_.end());
  item_.left.push_back(state_in_words(created_));
  item_.seconds = base::to_seconds(ground_.clock.now() - begin_);
}

void SnapshotJob::finish(const SnapshotEnd& end) {
  const std::string uid = item_.uid;
  if (end.parts && !removed_) {
    item_ = assemble(*end.parts);
    for (const std::string& missing : end.unreadable) item_.reasons.push_back(missing);
  }
  item_.uid = uid;
  item_.outcome = Outcome::done;
  item_.error.reset();
  if (removed_) item_.uid.clear();
  if (!end.reached.ok() && !removed_) {
    const Error& error = end.reached.error();
    fail(error);
    const bool by_itself = !end.lost && error.code() != ErrorCode::timeout && error.code() != ErrorCode::cancelled;
    if (by_itself && !recorded_) thaw_after_controller(false);
    if (end.parts) {
      if (!end.stuck) item_.error = error.with_hint(next_step({plan_.snapshot.ns, plan_.snapshot.name}, &*end.parts, error));
      const bool there = error.code() != ErrorCode::not_found || end.parts->snapshot.deleting;
      if (there) item_.left.push_back(state_in_words(end.parts->snapshot));
    } else if (end.lost) {
      item_.left.push_back(kubevirt::describe(kubevirt::vm_snapshots(plan_.api_version), {item_.ns, item_.name}) +
                           ", which goes on and cannot be followed");
    }
  } else if (!removed_ && std::none_of(item_.disks.begin(), item_.disks.end(), is_included)) {
    item_.left.push_back(state_in_words(end.parts->snapshot));
    fail(Error(ErrorCode::internal,
               "VirtualMachineSnapshot " + item_.ns + "/" + item_.name + " is called " + item_.phase + " by KubeVirt but holds no disk",
               "remove it with: " + command_for("delete ", plan_.snapshot)));
  }
  item_.reasons.insert(item_.reasons.end(), remarks_.begin(), remarks_.end());
  item_.judged = judged_;
  add_facts();
  item_.seconds = base::to_seconds(ground_.clock.now() - begin_);
}

}  // namespace vmbackup::backup
