// One VM of a snapshot run: what is done to it, and what is known of it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "backup/freeze_guard.hpp"
#include "backup/ground.hpp"
#include "backup/guest_watch.hpp"
#include "backup/live_probe.hpp"
#include "backup/lock.hpp"
#include "backup/pause_guard.hpp"
#include "backup/recipe_run.hpp"
#include "backup/snapshot.hpp"
#include "backup/snapshot_evidence.hpp"
#include "backup/snapshot_watch.hpp"
#include "base/clock.hpp"

namespace vmbackup::backup {

// The steps block and may be called on any thread, one at a time. All references must outlive it. In order:
//   start()              the guest is made to stand still, the snapshot is created; failed() tells. Of a group: prepare(), hold() and
//                        create(), each for all before the next for any, and take_back() or give_up() where that fails for one of them
//   let_go() or give_up() where it holds() the guest, once all is cut or nothing more will come
//   record()             once its parts say that they are cut: evidence, level
//   finish()             with the end of the wait
// The destructor lets a guest go that is still held.
class SnapshotJob {
 public:
  // `guests` is none where nothing is waited for.
  SnapshotJob(const Ground& ground, GuestWatch* guests, Locks& locks, const SnapshotPlan& plan, const TakeOptions& options);

  void start(const base::Deadline& deadline, const std::stop_token& stop);
  // Waits until the guest can be held, takes its lock and has its recipe quiesce it, as far as the plan has these.
  void prepare(const base::Deadline& deadline, const std::stop_token& stop);
  // Freezes and pauses, likewise.
  void hold(const base::Deadline& deadline, const std::stop_token& stop);
  void create(const base::Deadline& deadline, const std::stop_token& stop);
  // After one of these failed, or with why the others of the group keep it from being taken: what is held is let go.
  void take_back(const base::Error& error);
  // All VMs of its group were held at that time.
  void see_group(std::size_t vms, base::TimePoint when) { seen_.group = GroupFact{vms, when}; }
  bool locked() const { return locked_; }
  bool failed() const { return item_.error.has_value(); }
  // The guest is held by us, or may be.
  bool holds() const { return (guard_ && guard_->owes()) || (pause_ && pause_->owes()) || (recipe_ && recipe_->owes()); }
  // KubeVirt's controller may hold it, and we may let it go.
  bool kubevirt_holds() const;
  // From when on the guest stood still, by us or by KubeVirt; none where it does not run. After start().
  std::optional<base::TimePoint> stands_since() const;
  // When it has stood still for too long.
  base::TimePoint too_long() const;

  // The cut of a disk was seen. At any time, by the thread that follows the snapshot.
  void see_cut(const std::string& disk, base::TimePoint when);
  // KubeVirt calls it Succeeded. By that thread, before record().
  void see_taken(base::TimePoint when) { seen_.taken = when; }

  void let_go();
  // Deletes the snapshot and lets the guest go, in that order. `why` is a clause that begins with what happened; `code` of the error.
  // `hint` is for a snapshot that is gone then.
  void give_up(base::ErrorCode code, const std::string& why, const std::optional<SnapshotParts>& parts, const std::string& hint = {});
  void record(SnapshotParts parts);
  // It was recorded, was weaker than asked, and is gone.
  bool removed() const { return removed_; }
  void finish(const SnapshotEnd& end);
  // For a snapshot that is not waited for.
  void finish_unwatched();
  // Never begun.
  void fail(const base::Error& error);
  // After an exception: lets go of what is held.
  void break_off(const std::string& why);

  const SnapshotPlan& plan() const { return plan_; }
  std::string vm_text() const;  // "VM prod/db-0"
  const std::string& uid() const { return item_.uid; }
  SnapshotItem& item() { return item_; }

 private:
  void settle_guest(const base::Deadline& deadline, const std::stop_token& stop);
  bool take_up(const base::Deadline& deadline, const std::stop_token& stop);
  void leave_to_kubevirt(const base::Error& error, const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> freeze(const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> pause(const base::Deadline& deadline, const std::stop_token& stop);
  void release_recipe();
  bool holds_itself() const;
  bool check_instance();
  void drop_lost();
  bool follow_to_now();
  base::Deadline window(const base::Deadline& deadline) const;
  void add_facts();
  void judge(const kubevirt::Evidence& evidence, const std::string& unrecorded);
  void remove_weaker();
  void thaw_after_controller(bool succeeded);
  base::WallTime wall(base::TimePoint when) const;

  const Ground& ground_;
  GuestWatch* const guests_;
  Locks& locks_;
  const SnapshotPlan& plan_;
  const TakeOptions& options_;
  SnapshotItem item_;
  base::TimePoint begin_;
  base::WallTime wall_begin_;
  std::unique_ptr<RecipeRun> recipe_;   // ends after what follows
  std::unique_ptr<FreezeGuard> guard_;  // likewise
  std::unique_ptr<PauseGuard> pause_;
  std::unique_ptr<LiveProbe> probe_;
  SnapshotSeen seen_;
  std::mutex mutex_;  // guards cuts_
  std::map<std::string, base::TimePoint> cuts_;
  kubevirt::VmSnapshot created_;
  std::vector<std::string> remarks_;  // for item.reasons
  std::shared_ptr<const Judged> judged_;
  std::optional<FreezeRecord> afterwards_;  // a thaw that KubeVirt was to do, and we did
  std::optional<base::Error> unreleased_;   // a step of the recipe that did not release
  bool locked_ = false;
  bool lost_create_ = false;  // the create had no clear answer
  bool lock_lost_ = false;
  bool given_up_ = false;
  bool taken_up_ = false;  // an earlier part of the run created it
  bool recorded_ = false;
  bool removed_ = false;
};

}  // namespace vmbackup::backup
