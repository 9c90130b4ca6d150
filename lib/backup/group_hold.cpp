#include "backup/group_hold.hpp"

#include <algorithm>
#include <utility>

#include "base/parallel.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

// Requests under way at once: as many as the client lets through.
constexpr std::size_t k_at_once = 64;
constexpr base::Duration k_afterwards = std::chrono::seconds(10);

}  // namespace

GroupHold::GroupHold(Ground ground, HoldOptions options, std::vector<HoldTarget> targets)
    : ground_(ground),
      options_(std::move(options)),
      observer_(ground.observer),
      begin_(ground.clock.now()),
      wall_begin_(ground.clock.wall_now()),
      locks_(ground.client, ground.clock, observer_, options_.lock) {
  for (HoldTarget& target : targets) {
    Guest guest;
    guest.guard = std::make_unique<FreezeGuard>(ground.client, ground.clock, observer_, ground.debts,
                                                GuardTarget{target.vm, target.vmi_uid}, options_.safety_timeout);
    guest.target = std::move(target);
    guests_.push_back(std::move(guest));
  }
}

GroupHold::~GroupHold() = default;

base::WallTime GroupHold::wall(base::TimePoint time) const { return wall_begin_ + (time - begin_); }

bool GroupHold::any_error() const {
  return std::any_of(guests_.begin(), guests_.end(), [](const Guest& guest) { return guest.error.has_value(); });
}

bool GroupHold::ok() const {
  return std::all_of(guests_.begin(), guests_.end(), [](const Guest& guest) { return guest.ours && !guest.error; });
}

void GroupHold::take(const base::Deadline& deadline, const std::stop_token& stop) {
  lock_all(deadline, stop);
  if (any_error()) return;
  std::vector<kube::Name> names;
  for (const Guest& guest : guests_) names.push_back(guest.target.vm);
  watch_ = std::make_unique<GuestWatch>(ground_.client, ground_.clock, names);
  look_again(deadline, stop);
  if (options_.probe && !any_error()) prepare_probe(deadline, stop);
  if (any_error()) return;
  freeze_all(stop);
  if (probe_ && !any_error()) ask_agents();
}

void GroupHold::prepare_probe(const base::Deadline& deadline, const std::stop_token& stop) {
  std::vector<HoldTarget> targets;
  for (const Guest& guest : guests_) targets.push_back(guest.target);
  probe_ = std::make_unique<LiveProbe>(ground_.client, ground_.clock, targets);
  const std::vector<Result<void>> found = probe_->prepare(deadline, stop);
  for (std::size_t i = 0; i < guests_.size(); ++i) {
    if (found[i].ok()) continue;
    guests_[i].error = found[i].error().wrap("VM " + guests_[i].target.vm.ns + "/" + guests_[i].target.vm.name +
                                             " was not frozen: its agent cannot be asked live");
  }
}

// An answer that says frozen is not believed alone: the agent has to say so too.
void GroupHold::ask_agents() {
  probe_->ask();
  for (std::size_t i = 0; i < guests_.size(); ++i) {
    const LiveWord word = probe_->word(i);
    const std::string vm = "VM " + guests_[i].target.vm.ns + "/" + guests_[i].target.vm.name;
    if (word.thawed) {
      guests_[i].error = Error(ErrorCode::internal, vm + " answered that it is frozen, and its agent says that it is not");
    } else if (word.unknown) {
      guests_[i].error = word.unknown->wrap(vm + " answered that it is frozen, and its agent could not be asked");
    }
  }
  if (!any_error()) probe_->begin();
}

void GroupHold::lock_all(const base::Deadline& deadline, const std::stop_token& stop) {
  base::for_each_parallel(guests_.size(), k_at_once, [&](std::size_t i) {
    const Result<void> locked = locks_.acquire({guests_[i].target.vm, guests_[i].target.vm_uid}, deadline, stop);
    if (!locked.ok()) guests_[i].error = locked.error();
  });
}

// Between the plan and the lock somebody may have come.
void GroupHold::look_again(const base::Deadline& deadline, const std::stop_token& stop) {
  const bool told = watch_->begin(deadline, stop);
  for (Guest& guest : guests_) {
    const std::string vm = "VM " + guest.target.vm.ns + "/" + guest.target.vm.name;
    const Sight sight = watch_->look(guest.target.vm);
    if (!told) {
      const bool stopped = stop.stop_requested();
      guest.error = Error(stopped ? ErrorCode::cancelled : ErrorCode::timeout,
                          stopped ? vm + " was not frozen: interrupted before" : "the deadline passed before " + vm + " was frozen");
    } else if (!sight.other_work.empty()) {
      guest.error = Error(ErrorCode::conflict, vm + " was not frozen: " + sight.other_work);
    } else if (sight.frozen_seen) {
      guest.error = Error(ErrorCode::conflict, vm + " was not frozen: somebody else has just frozen it");
    } else if (sight.moved) {
      guest.error = Error(ErrorCode::conflict, vm + " was not frozen: it is migrating");
    } else if (sight.paused) {
      guest.error = Error(ErrorCode::precondition, vm + " was not frozen: somebody has just paused it, so that its agent cannot answer");
    } else if (sight.instance_ended) {
      guest.error = Error(ErrorCode::precondition, vm + " was not frozen: its instance has just ended");
    }
  }
}

void GroupHold::freeze_all(const std::stop_token& stop) {
  base::for_each_parallel(guests_.size(), k_at_once, [&](std::size_t i) {
    Guest& guest = guests_[i];
    watch_->mark(guest.target.vm);
    const Result<void> frozen = guest.guard->freeze(stop);
    guest.ours = frozen.ok();
    if (!frozen.ok()) guest.error = frozen.error();
  });
}

void GroupHold::release(base::TimePoint needed_until, bool ask) {
  // Asked and looked at first: what is said later may be our own thaw.
  if (probe_) {
    probe_->end();
    if (ask) probe_->ask();
  }
  std::vector<Sight> sights(guests_.size());
  for (std::size_t i = 0; i < guests_.size(); ++i) {
    if (watch_) sights[i] = watch_->look(guests_[i].target.vm);
    if (probe_) sights[i].live = probe_->word(i);
  }
  base::for_each_parallel(guests_.size(), k_at_once, [&](std::size_t i) {
    Guest& guest = guests_[i];
    const Result<void> gone = guest.guard->release();
    if (std::exchange(guest.ours, false)) guest.verdict = judge({guest.guard->record(), sights[i], needed_until, guest.target.windows});
    if (gone.ok()) {
      locks_.release(guest.target.vm, base::Deadline::after(ground_.clock, k_afterwards));
    } else {
      // The lock stays and runs out: by it `thaw --all` knows the guest as ours.
      guest.error = gone.error();
    }
  });
}

void GroupHold::hand_over() {
  if (probe_) probe_->end();
  const base::Deadline deadline = base::Deadline::after(ground_.clock, k_afterwards);
  base::for_each_parallel(guests_.size(), k_at_once, [&](std::size_t i) {
    Guest& guest = guests_[i];
    if (!guest.ours) {
      const Result<void> gone = guest.guard->release();
      if (!gone.ok()) guest.error = gone.error();
      locks_.release(guest.target.vm, deadline);
      return;
    }
    guest.guard->hand_over();
    const Result<void> left = locks_.hand_over(guest.target.vm, options_.safety_timeout, deadline);
    if (!left.ok()) {
      observer_.on({Event::Kind::warning,
                    guest.target.vm.ns,
                    guest.target.vm.name,
                    {},
                    {},
                    "the lock could not be left behind, so that another run could take the guest for nobody's: " + left.error().message(),
                    ground_.clock.wall_now()});
    }
  });
}

}  // namespace vmbackup::backup
