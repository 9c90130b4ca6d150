#include "backup/lock.hpp"

#include <algorithm>
#include <utility>

#include "backup/debts.hpp"
#include "backup/run_id.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Duration k_length = std::chrono::seconds(30);
constexpr base::Duration k_renewal = std::chrono::seconds(10);
// A holder that says more is not believed.
constexpr base::Duration k_longest = std::chrono::minutes(10);
constexpr base::Duration k_look_again = std::chrono::seconds(1);
constexpr base::Duration k_call = std::chrono::seconds(5);
constexpr std::size_t k_at_once = 8;
constexpr const char* k_handed_over = "kubectl-vmbackup/handed-over";

std::string vm_text(const kube::Name& vm) { return "VM " + vm.ns + "/" + vm.name; }

Error busy(const kube::Name& vm, const kube::Lease& theirs) {
  if (handed_over(theirs)) {
    return Error(ErrorCode::conflict, vm_text(vm) + " was frozen on purpose by run " + run_of(theirs) + " of this tool, which has ended",
                 "let it go with: " + thaw_command(vm));
  }
  const std::size_t at = theirs.holder.rfind('@');
  const std::string where = at == std::string::npos ? "" : " on " + base::printable(theirs.holder.substr(at + 1), 100);
  return Error(ErrorCode::conflict, vm_text(vm) + " is held by run " + run_of(theirs) + " of this tool" + where + ", which is under way",
               "wait for it with --lock-wait 10m, or take its place with --break-lock");
}

}  // namespace

std::string lease_name(const std::string& vm) {
  const std::string name = "vmbackup-" + vm;
  if (name.size() <= 63) return name;
  return name.substr(0, 54) + "-" + base::short_hash(vm);
}

bool handed_over(const kube::Lease& lease) { return !lease.annotation(k_handed_over).empty(); }

std::string run_of(const kube::Lease& lease) {
  for (const auto& [key, value] : lease.labels) {
    if (key == k_run_label) return value;
  }
  return lease.holder.empty() ? "unknown" : lease.holder;
}

Locks::Locks(kube::Client& client, base::Clock& clock, Observer& observer, LockOptions options)
    : client_(client), clock_(clock), observer_(observer), options_(std::move(options)) {}

Locks::~Locks() = default;

kube::NewLease Locks::mine(const LockTarget& target, base::Duration length) const {
  kube::NewLease lease;
  lease.name = {target.vm.ns, lease_name(target.vm.name)};
  lease.holder = options_.run + "@" + options_.host;
  lease.duration = length;
  lease.now = clock_.wall_now();
  lease.labels = {{k_managed_by_label, k_managed_by}, {k_run_label, options_.run}};
  // The lease goes with its VM.
  if (!target.vm_uid.empty()) lease.owner = kube::Owner{"kubevirt.io/v1", "VirtualMachine", target.vm.name, target.vm_uid};
  return lease;
}

Result<void> Locks::acquire(const LockTarget& target, const base::Deadline& deadline, const std::stop_token& stop) {
  if (!options_.use) return {};
  const Result<void> taken = take(target, deadline, stop);
  if (taken.ok() || taken.error().code() == ErrorCode::conflict) return taken;
  return taken.error().wrap(vm_text(target.vm) + " is not locked");
}

Result<void> Locks::take(const LockTarget& target, const base::Deadline& deadline, const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  for (;;) {
    const Result<kube::Lease> made = kube::create_lease(client_, mine(target, k_length), call, stop);
    if (made.ok()) {
      keep(target.vm, *made);
      return {};
    }
    if (made.error().code() == ErrorCode::forbidden) {
      warn_once(target.vm, made.error());
      return {};
    }
    if (made.error().code() != ErrorCode::already_exists) return made.error();
    Result<kube::Lease> theirs = kube::get_lease(client_, {target.vm.ns, lease_name(target.vm.name)}, call, stop);
    if (!theirs.ok()) {
      if (theirs.error().code() == ErrorCode::not_found) continue;
      return theirs.error();
    }
    // Ours, of a create whose answer was lost; or of this very run, taken up again.
    const bool own = run_of(*theirs) == options_.run;
    if (!own && !options_.break_lock) {
      Result<void> dead = wait_for(target, *theirs, deadline, stop);
      if (!dead.ok()) return dead;
    }
    // Only as it was last seen: a holder that renews it at this very moment keeps it.
    const Result<void> removed = kube::remove_lease(client_, *theirs, call, stop, !own && !options_.break_lock);
    if (!removed.ok() && removed.error().code() != ErrorCode::precondition) return removed.error();
    if (removed.ok() && !own) {
      observer_.on({Event::Kind::locked, target.vm.ns, target.vm.name, {}, {}, "run " + run_of(*theirs), clock_.wall_now()});
    }
  }
}

// Good once the lease is gone, or has stood for its whole length; `lease` is then as it was last seen.
Result<void> Locks::wait_for(const LockTarget& target, kube::Lease& lease, const base::Deadline& deadline, const std::stop_token& stop) {
  const base::TimePoint begin = clock_.now();
  base::TimePoint seen = begin;
  const std::string who = "run " + run_of(lease);
  observer_.on({Event::Kind::lock_wait,
                target.vm.ns,
                target.vm.name,
                {},
                {},
                who + " of this tool holds it, and has died if it does not renew it within " + base::format_duration(lease.duration),
                clock_.wall_now()});
  for (;;) {
    const base::Duration length = std::min(lease.duration, k_longest);
    if (lease.holder.empty() || clock_.now() - seen >= length) return {};
    // A guest that stands still on purpose is not waited for unless asked.
    const bool alive = seen != begin || handed_over(lease);
    if (alive && clock_.now() - begin >= options_.wait.value_or(base::Duration::zero())) return busy(target.vm, lease);
    if (deadline.passed(clock_)) return Error(ErrorCode::timeout, "the deadline passed: it is held by " + who + " of this tool");
    const base::TimePoint next = std::min({clock_.now() + k_look_again, seen + length, deadline.when()});
    if (!clock_.sleep_until(next, stop)) return Error(ErrorCode::cancelled, "interrupted: it is held by " + who + " of this tool");
    // A look that the deadline cuts short at once would say that the server does not answer.
    if (deadline.passed(clock_)) continue;
    const Result<kube::Lease> now = kube::get_lease(client_, lease.name, {.deadline = deadline}, stop);
    if (!now.ok()) {
      if (now.error().code() == ErrorCode::not_found) return {};
      return now.error();
    }
    if (now->resource_version != lease.resource_version) seen = clock_.now();
    lease = *now;
  }
}

void Locks::keep(const kube::Name& vm, const kube::Lease& lease) {
  const std::lock_guard lock(mutex_);
  held_[vm] = {lease, clock_.now()};
  if (!renewer_.joinable()) renewer_ = std::jthread([this](const std::stop_token& stop) { renew(stop); });
}

void Locks::warn_once(const kube::Name& vm, const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(warned_, true)) return;
  }
  observer_.on({Event::Kind::warning,
                vm.ns,
                vm.name,
                {},
                {},
                "no lock is held, so another run could hold the same VM: " + error.message() + "; --no-lock silences this",
                clock_.wall_now()});
}

void Locks::renew(const std::stop_token& stop) {
  while (clock_.sleep_until(clock_.now() + k_renewal, stop)) {
    std::vector<kube::Name> vms;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [vm, held] : held_) vms.push_back(vm);
    }
    base::for_each_parallel(vms.size(), k_at_once, [&](std::size_t i) { renew_one(vms[i], stop); });
  }
}

void Locks::renew_one(const kube::Name& vm, const std::stop_token& stop) {
  Held held;
  {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(vm);
    if (found == held_.end()) return;
    held = found->second;
  }
  const base::TimePoint sent = clock_.now();
  const kube::Call call{.deadline = base::Deadline::after(clock_, k_call), .repeat = false};
  kube::NewLease next = mine({vm, {}}, k_length);
  next.labels.clear();
  Result<kube::Lease> renewed = kube::write_lease(client_, held.lease, next, call, stop);
  if (!renewed.ok() && renewed.error().code() == ErrorCode::conflict) {
    // Somebody wrote to it; while it names us it is ours, as after a lost answer.
    const Result<kube::Lease> now = kube::get_lease(client_, held.lease.name, call, stop);
    if (now.ok() && now->uid == held.lease.uid && now->holder == held.lease.holder)
      renewed = kube::write_lease(client_, *now, next, call, stop);
    if (now.ok() && now->holder != held.lease.holder) return lose(vm, "run " + run_of(*now) + " has taken the lock of " + vm_text(vm));
  }
  if (renewed.ok()) {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(vm);
    if (found != held_.end()) found->second = {*renewed, sent};
    return;
  }
  if (stop.stop_requested()) return;
  if (renewed.error().code() == ErrorCode::not_found) return lose(vm, "the lock of " + vm_text(vm) + " was taken away");
  if (clock_.now() - held.renewed >= k_length) {
    lose(vm, "the lock of " + vm_text(vm) + " could not be renewed: " + renewed.error().message());
  }
}

void Locks::lose(const kube::Name& vm, const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    // Given back meanwhile.
    if (held_.erase(vm) == 0) return;
    if (why_lost_.empty()) why_lost_ = why;
  }
  observer_.on({Event::Kind::warning, vm.ns, vm.name, {}, {}, why, clock_.wall_now()});
  lost_.request_stop();
}

std::string Locks::why_lost() const {
  const std::lock_guard lock(mutex_);
  return why_lost_;
}

void Locks::release(const kube::Name& vm, const base::Deadline& deadline) {
  std::optional<Held> held;
  {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(vm);
    if (found == held_.end()) return;
    held = found->second;
    held_.erase(found);
  }
  const Result<void> removed =
      kube::remove_lease(client_, held->lease, {.deadline = deadline.sooner(base::Deadline::after(clock_, k_call))}, {});
  if (removed.ok() || removed.error().code() == ErrorCode::precondition) return;
  observer_.on(
      {Event::Kind::warning,
       vm.ns,
       vm.name,
       {},
       {},
       "Lease " + vm.ns + "/" + held->lease.name.name + " could not be deleted and runs out by itself: " + removed.error().message(),
       clock_.wall_now()});
}

Result<void> Locks::hand_over(const kube::Name& vm, base::Duration length, const base::Deadline& deadline) {
  std::optional<Held> held;
  {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(vm);
    if (found == held_.end()) return {};
    held = found->second;
    held_.erase(found);
  }
  kube::NewLease next = mine({vm, {}}, length);
  next.annotations = {{k_handed_over, base::format_time(clock_.wall_now())}};
  const kube::Call call{.deadline = deadline};
  Result<kube::Lease> written = kube::write_lease(client_, held->lease, next, call, {});
  if (!written.ok() && written.error().code() == ErrorCode::conflict) {
    // A renewal was under way.
    const Result<kube::Lease> now = kube::get_lease(client_, held->lease.name, call, {});
    if (now.ok() && now->holder == held->lease.holder) written = kube::write_lease(client_, *now, next, call, {});
  }
  if (!written.ok()) return written.error();
  return {};
}

}  // namespace vmbackup::backup
