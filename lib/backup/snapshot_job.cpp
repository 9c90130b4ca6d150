#include "backup/snapshot_job.hpp"

#include <algorithm>
#include <utility>

#include "backup/consistency.hpp"
#include "backup/evidence.hpp"
#include "backup/guest_truth.hpp"
#include "backup/inventory.hpp"
#include "backup/left_paused.hpp"
#include "backup/snapshot_create.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Duration k_look_again = std::chrono::milliseconds(200);
// A delete that is not answered by then does not keep a guest waiting.
constexpr base::Duration k_delete_first = std::chrono::seconds(2);
constexpr base::Duration k_call_limit = std::chrono::seconds(30);
constexpr base::Duration k_gone_limit = std::chrono::seconds(10);
// By how much the watch may come after a read.
constexpr base::Duration k_watch_lag = std::chrono::seconds(2);
constexpr base::Duration k_look_soon = std::chrono::milliseconds(10);

}  // namespace

SnapshotJob::SnapshotJob(const Ground& ground, GuestWatch* guests, Locks& locks, const SnapshotPlan& plan, const TakeOptions& options)
    : ground_(ground),
      guests_(guests),
      locks_(locks),
      plan_(plan),
      options_(options),
      item_(item_of(plan)),
      begin_(ground.clock.now()),
      wall_begin_(ground.clock.wall_now()) {
  seen_.hold = plan.hold;
  item_.reasons.clear();
  item_.complete = false;
  remarks_ = plan.forced;
}

base::WallTime SnapshotJob::wall(base::TimePoint when) const { return wall_begin_ + (when - begin_); }

std::string SnapshotJob::vm_text() const { return "VM " + plan_.target.vm.ns + "/" + plan_.target.vm.name; }

void SnapshotJob::fail(const Error& error) {
  item_.outcome = Outcome::failed;
  item_.error = error;
}

std::optional<base::TimePoint> SnapshotJob::stands_since() const {
  if (guard_) return guard_->record().sent;
  if (pause_) return pause_->record().sent;
  return plan_.running && !taken_up_ ? std::optional(seen_.create_sent) : std::nullopt;
}

base::TimePoint SnapshotJob::too_long() const {
  if (guard_ && guard_->record().sent) return *guard_->record().sent + plan_.max_freeze;
  return pause_ && pause_->record().sent ? *pause_->record().sent + plan_.max_freeze : base::TimePoint::max();
}

void SnapshotJob::see_cut(const std::string& disk, base::TimePoint when) {
  const std::lock_guard lock(mutex_);
  cuts_.try_emplace(disk, when);
}

// ---- the guest and the create ----

void SnapshotJob::start(const base::Deadline& deadline, const std::stop_token& stop) {
  prepare(deadline, stop);
  if (!failed() && !taken_up_) hold(deadline, stop);
  if (!failed() && !taken_up_) create(deadline, stop);
  if (failed()) take_back(*item_.error);
}

void SnapshotJob::take_back(const Error& error) {
  if (!failed()) fail(error);
  // A snapshot that may be there must be gone before its guest is let go: it would be cut all the same. That of a group is of no use.
  const bool lost = lost_create_ && (holds() || seen_.group);
  if (lost) drop_lost();
  let_go();
  // Once more, for it may have come late; that none comes later still cannot be known.
  if (lost) drop_lost();
  add_facts();
}

// A guest that we hold is not kept waiting for longer than it may stand still.
base::Deadline SnapshotJob::window(const base::Deadline& deadline) const {
  return too_long() == base::TimePoint::max() ? deadline : deadline.sooner(base::Deadline::at(too_long()));
}

// Removes the snapshot of a create that had no clear answer, if it is there.
void SnapshotJob::drop_lost() {
  const base::Deadline limit = base::Deadline::after(ground_.clock, k_delete_first);
  const Result<std::optional<kubevirt::VmSnapshot>> found =
      find_own_snapshot(ground_.client, plan_, {.deadline = limit, .repeat = false}, {});
  if (!found.ok() || !*found) return;
  const kube::Resource resource = kubevirt::vm_snapshots(plan_.api_version);
  static_cast<void>(
      ground_.client.remove(resource, {item_.ns, item_.name}, {.uid = (*found)->uid, .propagation = {}}, {.deadline = limit}, {}));
}

void SnapshotJob::break_off(const std::string& why) {
  fail(Error(ErrorCode::internal, "the snapshot of " + vm_text() + " was broken off: " + why));
  let_go();
}

// By name a freeze or a pause would reach whatever stands there now.
bool SnapshotJob::check_instance() {
  const kube::Name& vm = plan_.target.vm;
  const GuestHistory guest = guests_->history(vm);
  if (guest.last.uid == plan_.target.vmi_uid && !guests_->look(vm).instance_ended) return true;
  // Where it may not be watched, nothing is known.
  if (!guest.begun || guests_->look(vm).unseen) return true;
  fail(Error(ErrorCode::precondition, vm_text() + " was started anew or stopped since it was looked at; nothing was created",
             "take it again: kubectl vmbackup snapshot " + vm.name + " -n " + vm.ns));
  return false;
}

// What an earlier part of the run created is followed as it is, and its guest is not touched.
bool SnapshotJob::take_up(const base::Deadline& deadline, const std::stop_token& stop) {
  const Result<std::optional<kubevirt::VmSnapshot>> found = find_own_snapshot(ground_.client, plan_, {.deadline = deadline}, stop);
  if (found.ok() && !*found) return false;
  taken_up_ = true;
  seen_.hold = kubevirt::Hold::none;
  if (!found.ok()) {
    fail(found.error());
    return true;
  }
  created_ = **found;
  item_.uid = created_.uid;
  return true;
}

// Right after a thaw the status still says frozen for some seconds, and right after a snapshot the VM is still locked: KubeVirt would not
// freeze then, and we could not tell whose freeze it is.
void SnapshotJob::settle_guest(const base::Deadline& deadline, const std::stop_token& stop) {
  const kube::Name& vm = plan_.target.vm;
  const base::Deadline fresh = base::Deadline::after(ground_.clock, k_status_fresh).sooner(deadline);
  for (;;) {
    const GuestHistory guest = guests_->history(vm);
    const bool frozen = !guest.frozen.empty() && guest.frozen.back().on;
    const std::string other = guest.snapshots.empty() ? std::string() : guest.snapshots.back().name;
    if (!frozen && (other.empty() || other == plan_.snapshot.name)) return;
    if (fresh.passed(ground_.clock)) {
      // Where KubeVirt holds the guest, a freeze of somebody else only makes the level weaker.
      if (other.empty() && !freezes(seen_.hold)) return;
      if (!other.empty()) {
        return fail(Error(ErrorCode::conflict, vm_text() + " has a snapshot under way: " + other,
                          "wait for it with: kubectl vmbackup wait vmsnapshot/" + other + " -n " + vm.ns));
      }
      return fail(Error(ErrorCode::conflict, vm_text() + " is frozen already, by somebody else or by an earlier run; nothing was created",
                        "let it go with: " + thaw_command(vm)));
    }
    if (!ground_.clock.sleep_until(ground_.clock.now() + k_look_again, stop)) {
      return fail(Error(ErrorCode::cancelled, "interrupted: no snapshot of " + vm_text() + " was created"));
    }
  }
}

// We make the guest stand still, not KubeVirt.
bool SnapshotJob::holds_itself() const { return guests_ != nullptr && (freezes(seen_.hold) || pauses(seen_.hold)); }

void SnapshotJob::prepare(const base::Deadline& deadline, const std::stop_token& stop) {
  begin_ = ground_.clock.now();
  wall_begin_ = ground_.clock.wall_now();
  if (plan_.resumes && take_up(deadline, stop)) return;
  if (left_paused(plan_, item_.run)) {
    return fail(Error(ErrorCode::precondition,
                      "an earlier part of the run paused " + vm_text() + ", and ended before it created a snapshot",
                      "once it runs again, take it with: kubectl vmbackup snapshot " + plan_.target.vm.name + " -n " + plan_.target.vm.ns));
  }
  if (guests_ == nullptr) return;
  if (plan_.running) settle_guest(deadline, stop);
  if (failed() || (holds_itself() && !check_instance())) return;
  if (plan_.locks) {
    const Result<void> locked = locks_.acquire({plan_.target.vm, plan_.vm_uid}, deadline, stop);
    if (!locked.ok()) return fail(locked.error());
    locked_ = true;
  }
  if (plan_.recipe) {
    recipe_ = std::make_unique<RecipeRun>(ground_.client, ground_.clock, ground_.observer, ground_.debts, *plan_.recipe,
                                          plan_.recipe_target, plan_.recipe_options);
    Result<void> quiet = recipe_->prepare(deadline, stop);
    if (quiet.ok()) quiet = recipe_->quiesce(deadline, stop);
    if (!quiet.ok()) return fail(quiet.error());
  }
  // The lock and the recipe may have taken their time.
  if (holds_itself() && (locked_ || recipe_)) settle_guest(deadline, stop);
}

// What fails fails the snapshot, but for a freeze that KubeVirt may do as well.
void SnapshotJob::hold(const base::Deadline& deadline, const std::stop_token& stop) {
  if (!holds_itself() || !check_instance()) return;
  if (freezes(seen_.hold)) {
    const Result<void> frozen = freeze(deadline, stop);
    if (!frozen.ok()) leave_to_kubevirt(frozen.error(), deadline, stop);
  }
  if (failed() || !pauses(seen_.hold)) return;
  if (const Result<void> paused = pause(window(deadline), stop); !paused.ok()) fail(paused.error());
}

Result<void> SnapshotJob::pause(const base::Deadline& deadline, const std::stop_token& stop) {
  const kube::Name& vm = plan_.target.vm;
  const base::Result<base::Duration> refusal = base::parse_duration(plan_.snapshot.failure_deadline);
  pause_ =
      std::make_unique<PauseGuard>(ground_.client, ground_.clock, ground_.observer, ground_.debts, GuardTarget{vm, plan_.target.vmi_uid},
                                   item_.run, refusal.ok() ? *refusal : base::Duration{}, guests_);
  const Result<void> paused = pause_->pause(deadline, stop);
  if (!paused.ok()) return paused;
  seen_.pause_sent = pause_->record().sent;
  // The evidence is what the watch shows: it has to show the pause before the create.
  const base::TimePoint until = ground_.clock.now() + k_watch_lag;
  for (;;) {
    const GuestHistory guest = guests_->history(vm);
    if (!guest.paused.empty() && guest.paused.back().on) return {};
    if (ground_.clock.now() >= until || !ground_.clock.sleep_until(ground_.clock.now() + k_look_soon, stop)) return {};
  }
}

void SnapshotJob::leave_to_kubevirt(const Error& error, const base::Deadline& deadline, const std::stop_token& stop) {
  const Result<void> released = guard_->release();
  seen_.freeze = guard_->record();
  const bool over = stop.stop_requested() || deadline.passed(ground_.clock);
  if (released.ok() && stop.stop_requested()) {
    return fail(Error(ErrorCode::cancelled, "interrupted: no snapshot of " + vm_text() + " was created"));
  }
  if (plan_.insists || over || !released.ok()) return fail(released.ok() ? error : released.error());
  const std::string why = "the guest could not be frozen, so the freeze is left to KubeVirt: " + error.message();
  ground_.observer.on({Event::Kind::warning, item_.ns, item_.vm, item_.name, {}, why, ground_.clock.wall_now()});
  remarks_.push_back(why);
  seen_.hold = kubevirt::Hold::controller;
  seen_.thawed_before = true;
  guard_.reset();
  probe_.reset();
}

Result<void> SnapshotJob::freeze(const base::Deadline& deadline, const std::stop_token& stop) {
  const HoldTarget& target = plan_.target;
  guard_ = std::make_unique<FreezeGuard>(ground_.client, ground_.clock, ground_.observer, ground_.debts,
                                         GuardTarget{target.vm, target.vmi_uid}, plan_.safety_timeout);
  if (plan_.probe) {
    probe_ = std::make_unique<LiveProbe>(ground_.client, ground_.clock, std::vector<HoldTarget>{target});
    const std::vector<Result<void>> found = probe_->prepare(deadline, stop);
    if (!found.front().ok()) return found.front().error().wrap("its agent cannot be asked live");
  }
  guests_->mark(target.vm);
  const Result<void> frozen = guard_->freeze(stop);
  if (!frozen.ok() || !probe_) return frozen;
  probe_->ask();
  if (probe_->word(0).thawed) return Error(ErrorCode::internal, "it answered that it is frozen, and its agent says that it is not");
  probe_->begin();
  return {};
}

void SnapshotJob::create(const base::Deadline& until, const std::stop_token& stop) {
  const base::Deadline deadline = window(until);
  if (deadline.passed(ground_.clock)) {
    const std::string why = until.passed(ground_.clock) ? "the deadline passed" : vm_text() + " stood still for too long";
    return fail(Error(ErrorCode::timeout, why + " before the snapshot of " + vm_text() + " was created; nothing was created for it"));
  }
  seen_.create_sent = ground_.clock.now();
  seen_.create_wall = ground_.clock.wall_now();
  Result<kubevirt::VmSnapshot> created = create_snapshot(ground_.client, plan_, {.deadline = deadline}, stop);
  item_.seconds = base::to_seconds(ground_.clock.now() - begin_);
  if (!created.ok()) {
    if (created.error().code() == ErrorCode::already_exists && plan_.resumes && take_up(deadline, stop)) return;
    fail(created.error());
    if (!may_exist(created.error())) return;
    lost_create_ = true;
    item_.left.push_back("VirtualMachineSnapshot " + item_.ns + "/" + item_.name + ", perhaps: the server did not say whether it was made");
    item_.error = created.error().with_hint("see whether it exists: " + command_for("show ", plan_.snapshot));
    return;
  }
  created_ = std::move(*created);
  item_.uid = created_.uid;
  ground_.observer.on({Event::Kind::created, item_.ns, item_.vm, item_.name, {}, created_.uid, ground_.clock.wall_now()});
}

// ---- letting go ----

void SnapshotJob::let_go() {
  if (probe_) probe_->end();
  if (probe_) seen_.probe = probe_->word(0);
  // Or the thaw would seem to come before the cut, which is rounded up.
  if (seen_.taken) ground_.clock.sleep_until(*seen_.taken + k_beyond_rounding, {});
  // A paused guest hears no thaw.
  if (pause_) static_cast<void>(pause_->release());
  if (guard_) static_cast<void>(guard_->release());
  release_recipe();
  if (!std::exchange(locked_, false)) return;
  if (locks_.lost().stop_requested()) lock_lost_ = true;
  locks_.release(plan_.target.vm, base::Deadline::after(ground_.clock, k_call_limit));
}

// What was still in force is looked for before it is released; what cannot be shown only makes the level weaker.
void SnapshotJob::release_recipe() {
  if (!recipe_ || !recipe_->owes()) return;
  if (!failed() && !given_up_) {
    const Result<void> held = recipe_->still_held(true, base::Deadline::after(ground_.clock, k_call_limit), {});
    if (!held.ok()) remarks_.push_back("a step of the recipe was not in force any more: " + held.error().message());
  }
  const Result<void> released = recipe_->release();
  seen_.recipe = recipe_->facts();
  if (!released.ok()) unreleased_ = released.error();
}

bool SnapshotJob::kubevirt_holds() const {
  if (guests_ == nullptr || seen_.hold != kubevirt::Hold::controller || !plan_.may_thaw) return false;
  return !guests_->history(plan_.target.vm).last.uid.empty();
}

void SnapshotJob::give_up(ErrorCode code, const std::string& why, const std::optional<SnapshotParts>& parts, const std::string& hint) {
  given_up_ = true;
  SnapshotItem shown = assemble(parts ? *parts : SnapshotParts{created_, {}, {}, plan_.disks});
  const base::Deadline first = base::Deadline::after(ground_.clock, k_delete_first);
  const kube::Resource resource = kubevirt::vm_snapshots(plan_.api_version);
  static_cast<void>(
      ground_.client.remove(resource, {item_.ns, item_.name}, {.uid = item_.uid, .propagation = {}}, {.deadline = first}, {}));
  thaw_after_controller(false);
  let_go();
  const base::Deadline rest = base::Deadline::after(ground_.clock, k_gone_limit);
  const DeleteItem gone =
      delete_snapshot(ground_.client, ground_.clock, ground_.observer, delete_plan_of(shown, plan_.api_version), true, rest, {});
  // What goes more slowly goes all the same.
  const bool deleted = gone.accepted;
  item_ = std::move(shown);
  item_.outcome = Outcome::failed;
  item_.complete = false;
  item_.reasons.insert(item_.reasons.end(), remarks_.begin(), remarks_.end());
  if (deleted) item_.uid.clear();
  const std::string what = kubevirt::describe(resource, {item_.ns, item_.name});
  if (gone.error) item_.left.push_back(deleted ? gone.error->message() : what + ", which could not be deleted: " + gone.error->message());
  item_.error = Error(code, why + ": " + what + (deleted ? " was deleted" : " is of no use"),
                      deleted ? hint : "remove it with: " + command_for("delete ", plan_.snapshot));
  item_.reasons.insert(item_.reasons.end(), remarks_.begin(), remarks_.end());
  item_.seconds = base::to_seconds(ground_.clock.now() - begin_);
  add_facts();
}

// A guest that KubeVirt froze and perhaps did not thaw: after a failure, or where its agent went away in the middle.
void SnapshotJob::thaw_after_controller(bool succeeded) {
  if (guests_ == nullptr || seen_.hold != kubevirt::Hold::controller) return;
  const Sight sight = guests_->look(plan_.target.vm);
  if (succeeded && !sight.agent_lost && !sight.instance_ended) return;
  const std::string uid = guests_->history(plan_.target.vm).last.uid;
  if (uid.empty()) return;
  if (!plan_.may_thaw) {
    remarks_.push_back("the guest may stay frozen until KubeVirt's timer ends that, and you may not thaw it; who may can with: " +
                       thaw_command(plan_.target.vm));
    return;
  }
  afterwards_.emplace();
  static_cast<void>(backup::let_go(ground_.client, ground_.clock, ground_.observer, {plan_.target.vm, uid}, *afterwards_));
}

}  // namespace vmbackup::backup
