// Many snapshots at once: one thread follows them all, a few others freeze, create, thaw and record.
#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "backup/pace.hpp"
#include "backup/run_id.hpp"
#include "backup/snapshot.hpp"
#include "backup/snapshot_event.hpp"
#include "backup/snapshot_group.hpp"
#include "backup/snapshot_job.hpp"
#include "base/workers.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;

// Threads beside those that hold guests and let them go: no guest waits for what is recorded or told of another.
constexpr std::size_t k_more_threads = 4;
// How soon the loss of a lock is noticed.
constexpr base::Duration k_look_at_locks = std::chrono::seconds(2);

class SnapshotRun {
 public:
  SnapshotRun(const Ground& ground, const SnapshotSet& set, const TakeOptions& options, const base::Deadline& deadline,
              const std::stop_token& stop)
      : serial_(ground.observer),
        teller_(*this, serial_),
        ground_{ground.client, ground.clock, teller_, ground.debts},
        set_(set),
        options_(options),
        deadline_(deadline),
        stop_(stop),
        pace_(options.parallel, set.plans.size()),
        locks_(ground.client, ground.clock, teller_, options.lock),
        watch_(ground.client, ground.clock, teller_, scope(), options.wait == WaitFor::cut ? Milestone::cut : Milestone::ready) {}

  TakenSnapshots run() {
    watch_guests();
    for (const SnapshotPlan& plan : set_.plans) {
      Entry& entry = entries_.emplace_back();
      entry.job = std::make_unique<SnapshotJob>(ground_, guests_.get(), locks_, plan, options_);
      by_name_[{plan.snapshot.ns, plan.snapshot.name}] = &entry;
      plan.refusal ? refuse(entry, *plan.refusal) : queue_.push_back(&entry);
    }
    // One VM needs no other thread: everything happens in its order.
    const bool threads = options_.threads && set_.plans.size() > 1;
    holders_ = std::make_unique<base::Workers>(!threads ? 0 : set_.group ? std::min(entries_.size(), k_most_held) : options_.parallel);
    tellers_ = std::make_unique<base::Workers>(threads ? k_more_threads : 0);
    if (set_.group) begin_together();
    while (over_ < entries_.size()) turn();
    holders_.reset();
    tellers_.reset();
    TakenSnapshots taken;
    for (Entry& entry : entries_) taken.items.push_back(std::move(entry.job->item()));
    if (set_.group) taken.group = judge_group(taken.items, group_held_);
    return taken;
  }

 private:
  // What has happened to a VM; set by the following thread alone, but for `acting`'s end.
  struct Entry {
    std::unique_ptr<SnapshotJob> job;
    int target = 0;
    bool acting = false;   // a step of the job is under way elsewhere
    bool started = false;  // start() has returned
    bool slot = false;     // counts against `parallel`
    bool taken = false;    // all its disks are cut
    bool let_go = false;   // let_go() or give_up() has returned
    bool given_up = false;
    bool recorded = false;  // record() was begun
    bool closing = false;   // the last step is under way or done
    bool over = false;
    std::optional<SnapshotParts> settled;
    std::optional<SnapshotEnd> end;
  };

  // Passes on, and keeps when cuts were seen. Cuts are told on the following thread.
  class Teller final : public Observer {
   public:
    Teller(SnapshotRun& run, Observer& to) : run_(run), to_(to) {}
    void on(const Event& event) override {
      if (event.kind == Event::Kind::cut) {
        const auto found = run_.by_name_.find({event.ns, event.object});
        if (found != run_.by_name_.end()) found->second->job->see_cut(event.disk, run_.ground_.clock.now());
      }
      to_.on(event);
    }

   private:
    SnapshotRun& run_;
    Observer& to_;
  };

  WatchScope scope() const {
    WatchScope scope{.api_version = set_.api_version,
                     .one = set_.plans.size() == 1,
                     .ns = {},
                     .label_selector = {},
                     .wait_on_error = options_.wait_on_error};
    if (scope.one) return scope;
    std::set<std::string> spaces;
    for (const SnapshotPlan& plan : set_.plans) spaces.insert(plan.snapshot.ns);
    if (spaces.size() == 1) scope.ns = *spaces.begin();
    scope.label_selector = std::string(k_run_label) + "=" + set_.run;
    return scope;
  }

  void watch_guests() {
    if (options_.wait == WaitFor::none) return;
    std::vector<kube::Name> names;
    for (const SnapshotPlan& plan : set_.plans) {
      if (!plan.refusal) names.push_back(plan.target.vm);
    }
    if (names.empty()) return;
    guests_ = std::make_unique<GuestWatch>(ground_.client, ground_.clock, names, options_.threads);
    // Not told in time, they have not begun, and that is what the evidence will say.
    static_cast<void>(guests_->begin(deadline_, stop_));
  }

  // One turn of the following thread: begin what can be begun, hear one thing, and see what follows from it.
  void turn() {
    take_done();
    if (!ended_early_ && (stop_.stop_requested() || deadline_.passed(ground_.clock))) end_early();
    begin_more();
    for (Entry* entry : std::exchange(changed_, {})) advance(*entry);
    if (over_ == entries_.size() || !changed_.empty() || has_done()) return;
    if (std::optional<SnapshotEnd> step = watch_.step(next_look(), ended_early_ ? std::stop_token() : stop_)) take(*std::move(step));
    check_windows();
  }

  base::Deadline next_look() const {
    base::Deadline next = ended_early_ ? base::Deadline::never() : deadline_;
    for (const Entry* entry : uncut_) {
      if (!waits_for_cut(*entry)) continue;
      next = next.sooner(base::Deadline::at(entry->job->too_long()));
      if (entry->job->locked()) next = next.sooner(base::Deadline::after(ground_.clock, k_look_at_locks));
    }
    return next;
  }

  static bool waits_for_cut(const Entry& entry) {
    return entry.started && !entry.acting && !entry.over && !entry.taken && !entry.end && entry.job->holds();
  }

  void check_windows() {
    const bool lost = locks_.lost().stop_requested();
    for (Entry* each : uncut_) {
      Entry& entry = *each;
      if (!waits_for_cut(entry)) continue;
      const bool late = ground_.clock.now() >= entry.job->too_long();
      if (!late && !(lost && entry.job->locked())) continue;
      const std::string vm = entry.job->vm_text();
      cut_short_[&entry] = late ? vm + " would have stood still for more than " + base::format_duration(entry.job->plan().max_freeze)
                                : "the lock of " + vm + " was lost: " + locks_.why_lost();
      watch_.give_up(entry.target, Error(ErrorCode::timeout, "the guest stood still for too long"));
    }
  }

  // No more is begun; what is held is given up, and what is waited for is waited for no longer.
  void end_early() {
    ended_early_ = true;
    const bool stopped = stop_.stop_requested();
    const Error error(stopped ? ErrorCode::cancelled : ErrorCode::timeout, stopped ? "interrupted" : "the deadline passed");
    for (Entry* entry : std::exchange(queue_, {})) {
      refuse(*entry, Error(error.code(), error.message() + " before the snapshot of " + entry->job->vm_text() +
                                             " was begun; nothing was created for it"));
    }
    early_ = error;
    watch_.give_up(error);
  }

  void refuse(Entry& entry, const Error& error) {
    entry.job->fail(error);
    entry.over = true;
    ++over_;
  }

  void begin_more() {
    while (!queue_.empty() && slots_ < pace_.slots()) {
      Entry& entry = *queue_.front();
      queue_.pop_front();
      entry.slot = true;
      ++slots_;
      watch_.expect({entry.job->plan().snapshot.ns, entry.job->plan().snapshot.name});
      hold(entry, [this, &entry] { entry.job->start(deadline_, stop_); });
    }
  }

  // Nothing has to be followed before all are created.
  void begin_together() {
    std::vector<SnapshotJob*> jobs;
    for (Entry* entry : std::exchange(queue_, {})) {
      jobs.push_back(entry->job.get());
      watch_.expect({entry->job->plan().snapshot.ns, entry->job->plan().snapshot.name});
    }
    if (jobs.empty()) return;
    const base::Result<base::TimePoint> held = begin_group(jobs, ground_, locks_, options_.threads, deadline_, stop_);
    if (held.ok()) group_held_ = ground_.clock.wall_now() - (ground_.clock.now() - *held);
    for (Entry& entry : entries_) {
      entry.started = true;
      follow(entry);
      changed_.push_back(&entry);
    }
  }

  bool all_taken() const {
    return std::all_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.taken; });
  }
  // The others may yet fail, and then it will not be kept either.
  bool group_open() const { return set_.group && !broken_ && !all_taken(); }

  // Nothing of a group is kept unless all of it is cut.
  void break_group(const Entry& entry) {
    const Error& error = entry.end->reached.error();
    const auto cut_short = cut_short_.find(&entry);
    const std::string why = cut_short == cut_short_.end() ? error.message() : cut_short->second;
    const bool early = early_ && error.code() == early_->code();
    broken_ = early ? Error(error.code(), early_->message() + " before all disks of the group were cut")
                    : all_or_none(entry.job->plan().target.vm, Error(ErrorCode::internal, why));
    for (Entry& other : entries_) {
      if (other.target != 0 && !other.end) watch_.give_up(other.target, Error(ErrorCode::timeout, broken_->message()));
      changed_.push_back(&other);
    }
  }

  // Has a step done, here or elsewhere; advance() is called after it. Those that hold or let go come first: each VM has a slot and so a
  // thread for them.
  void hold(Entry& entry, const std::function<void()>& step) { act(*holders_, entry, step); }
  void tell(Entry& entry, const std::function<void()>& step) { act(*tellers_, entry, step); }

  void act(base::Workers& workers, Entry& entry, const std::function<void()>& step) {
    entry.acting = true;
    workers.post([this, &entry, step] {
      try {
        step();
      } catch (const std::exception& error) {
        entry.job->break_off(error.what());
      }
      {
        const std::lock_guard lock(mutex_);
        done_.push_back(&entry);
      }
      watch_.wake();
    });
  }

  bool has_done() {
    const std::lock_guard lock(mutex_);
    return !done_.empty();
  }

  void take_done() {
    std::deque<Entry*> done;
    {
      const std::lock_guard lock(mutex_);
      done.swap(done_);
    }
    for (Entry* entry : done) {
      entry->acting = false;
      if (!std::exchange(entry->started, true)) follow(*entry);
      changed_.push_back(entry);
    }
  }

  // After start().
  void follow(Entry& entry) {
    SnapshotJob& job = *entry.job;
    if (job.failed() || options_.wait == WaitFor::none) return;
    const kubevirt::NewVmSnapshot& snapshot = job.plan().snapshot;
    entry.target = watch_.add({.name = {snapshot.ns, snapshot.name},
                               .uid = job.uid(),
                               .vm = snapshot.vm,
                               .vm_uid = job.plan().vm_uid,
                               .planned = job.plan().disks},
                              true);
    by_target_[entry.target] = &entry;
    uncut_.push_back(&entry);
    if (early_) watch_.give_up(entry.target, *early_);
  }

  void take(SnapshotEnd step) {
    Entry& entry = *by_target_.at(step.target);
    changed_.push_back(&entry);
    if (step.step != SnapshotEnd::Step::settled) std::erase(uncut_, &entry);
    switch (step.step) {
      case SnapshotEnd::Step::taken:
        entry.taken = true;
        entry.job->see_taken(ground_.clock.now());
        tell_group(entry);
        return;
      case SnapshotEnd::Step::settled:
        entry.settled = std::move(step.parts);
        return;
      case SnapshotEnd::Step::ended:
        // Whoever waits for readiness in vain has the cuts all the same.
        if (step.reached.ok()) entry.taken = true;
        if (entry.taken && step.parts && !entry.settled && !entry.recorded) entry.settled = step.parts;
        entry.end = std::move(step);
        tell_group(entry);
        return;
    }
  }

  // What becomes of one concerns all.
  void tell_group(const Entry& entry) {
    if (!set_.group || broken_) return;
    if (!entry.taken) return break_group(entry);
    if (!all_taken()) return;
    for (Entry& other : entries_) changed_.push_back(&other);
  }

  // What follows from all that has happened to the VM.
  void advance(Entry& entry) {
    SnapshotJob& job = *entry.job;
    if (entry.acting || entry.over || !entry.started) return;
    if (entry.closing) {
      entry.over = true;
      ++over_;
      return;
    }
    if (entry.target == 0)
      return close(entry, [&job] {
        if (!job.failed()) job.finish_unwatched();
      });
    if (broken_ && !entry.given_up && entry.end && (entry.taken || may_go_on(entry))) return give_up(entry);
    // A pause holds all of a group until the last of them is cut.
    const bool stays = group_open() && pauses(job.plan().hold);
    const bool held = job.holds() || (is_stuck(entry) && job.kubevirt_holds());
    if (!entry.let_go && held && (entry.taken || entry.end) && !stays) {
      // A snapshot that may still be cut must be gone before its guest is let go.
      if (!entry.taken && may_go_on(entry)) return give_up(entry);
      entry.let_go = true;
      return hold(entry, [&job] { job.let_go(); });
    }
    if (entry.taken || entry.end) free_slot(entry);
    if (entry.given_up) return close(entry, [] {});
    if (entry.settled) {
      entry.recorded = true;
      const auto parts = std::make_shared<SnapshotParts>(*std::exchange(entry.settled, std::nullopt));
      return tell(entry, [&job, parts] { job.record(std::move(*parts)); });
    }
    if (job.removed() && !entry.end) watch_.give_up(entry.target, Error(ErrorCode::cancelled, "deleted"));
    if (!entry.end || group_open()) return;
    const auto end = std::make_shared<SnapshotEnd>(*std::exchange(entry.end, std::nullopt));
    close(entry, [&job, end] { job.finish(*end); });
  }

  // The last step of a VM: its item is made whole, and told on the VM.
  void close(Entry& entry, const std::function<void()>& complete) {
    entry.closing = true;
    free_slot(entry);
    tell(entry, [this, &entry, complete] {
      complete();
      if (options_.events) write_event(entry);
    });
  }

  static bool is_stuck(const Entry& entry) { return !entry.taken && entry.end && entry.end->stuck; }

  static bool may_go_on(const Entry& entry) {
    if (entry.end->reached.ok() || entry.end->stuck || entry.end->lost) return true;
    const ErrorCode code = entry.end->reached.error().code();
    return code == ErrorCode::timeout || code == ErrorCode::cancelled;
  }

  void give_up(Entry& entry) {
    entry.let_go = true;
    entry.given_up = true;
    if (entry.end->stuck) return give_up_stuck(entry);
    const auto cut_short = cut_short_.find(&entry);
    const bool alone = cut_short != cut_short_.end();
    if (!alone && !broken_ && entry.end->lost) return give_up_with(entry, entry.end->reached.error().hint());
    const std::string why = alone     ? cut_short->second
                            : broken_ ? broken_->message()
                                      : early_->message() + " before the disks of " + entry.job->vm_text() + " were cut";
    const ErrorCode code = alone ? ErrorCode::internal : broken_ ? broken_->code() : early_->code();
    hold(entry, [&entry, code, why, parts = entry.end->parts] { entry.job->give_up(code, why, parts); });
  }

  void give_up_stuck(Entry& entry) {
    const kube::Name& vm = entry.job->plan().target.vm;
    give_up_with(entry, "to go on trying until then: kubectl vmbackup snapshot " + vm.name + " -n " + vm.ns + " --wait-on-error");
  }

  // For what ended its wait.
  void give_up_with(Entry& entry, const std::string& hint) {
    const Error& error = entry.end->reached.error();
    hold(entry, [&entry, error, hint, parts = entry.end->parts] { entry.job->give_up(error.code(), error.message(), parts, hint); });
  }

  void write_event(Entry& entry) {
    // What failed is known also where the deadline has passed meanwhile; its own limit is short.
    const base::Deadline limit = base::Deadline::never();
    const base::Result<void> told = tell_on_vm(ground_.client, ground_.clock, entry.job->plan(), entry.job->item(), limit, {});
    // Most users may not write events, and miss nothing by it.
    if (told.ok() || told.error().code() == ErrorCode::forbidden || !options_.note) return;
    const std::lock_guard lock(telling_);
    options_.note("no event was written on the VM: " + told.error().message());
  }

  void free_slot(Entry& entry) {
    if (!std::exchange(entry.slot, false)) return;
    --slots_;
    const std::optional<base::TimePoint> since = entry.taken ? entry.job->stands_since() : std::nullopt;
    if (since) pace_.take(kind_of(entry.job->plan()), *since, ground_.clock.now());
  }

  // Those whose disks take as long to be cut.
  static std::string kind_of(const SnapshotPlan& plan) {
    std::string kind;
    for (const DiskReport& disk : plan.disks) {
      if (disk.included) kind += disk.snapshot_class + ",";
    }
    return kind;
  }

  SerialObserver serial_;
  Teller teller_;
  const Ground ground_;
  const SnapshotSet& set_;
  const TakeOptions& options_;
  const base::Deadline deadline_;
  const std::stop_token stop_;
  Pace pace_;
  Locks locks_;
  SnapshotWatch watch_;
  std::unique_ptr<GuestWatch> guests_;
  std::deque<Entry> entries_;
  std::map<kube::Name, Entry*> by_name_;  // of the snapshot; complete before any thread begins
  std::map<int, Entry*> by_target_;
  std::deque<Entry*> queue_;
  std::vector<Entry*> uncut_;  // followed, and neither cut nor ended: few of thousands
  std::vector<Entry*> changed_;
  std::map<const Entry*, std::string> cut_short_;  // let go before its disks were cut, and why
  std::optional<Error> early_;
  std::optional<base::WallTime> group_held_;
  std::optional<Error> broken_;  // why nothing of the group is kept
  bool ended_early_ = false;
  std::size_t slots_ = 0;
  std::size_t over_ = 0;
  std::mutex mutex_;  // guards done_
  std::deque<Entry*> done_;
  std::mutex telling_;                                // for options_.note
  std::unique_ptr<base::Workers> tellers_, holders_;  // first to end
};

}  // namespace

TakenSnapshots take_snapshots(const Ground& ground, const SnapshotSet& set, const TakeOptions& options, const base::Deadline& deadline,
                              const std::stop_token& stop) {
  if (set.plans.empty()) return {};
  return SnapshotRun(ground, set, options, deadline, stop).run();
}

}  // namespace vmbackup::backup
