#include "backup/freeze_guard.hpp"

#include <algorithm>
#include <utility>

#include "backup/letting_go.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::FreezeAnswer;
using kubevirt::ThawAnswer;

std::string guest(const GuardTarget& target) { return "the guest of VM " + target.vm.ns + "/" + target.vm.name; }

// One guest being let go.
class Release {
 public:
  Release(kube::Client& client, base::Clock& clock, Observer& observer, const GuardTarget& target, FreezeRecord& record)
      : client_(client),
        clock_(clock),
        target_(target),
        record_(record),
        letting_(client, clock, observer, target, Event::Kind::thaw_again) {}

  Result<void> run() {
    const base::TimePoint begin = clock_.now();
    const base::TimePoint timer = record_.sent ? *record_.sent + record_.safety_timeout : begin;
    const base::Deadline deadline = base::Deadline::at(std::max(begin, timer) + k_extra);
    letting_.tell(Event::Kind::thawing, {});
    if (!letting_.persist(deadline, [&] { return attempt(deadline); })) return give_up();
    letting_.tell(Event::Kind::thawed, record_.thawed_by);
    return {};
  }

 private:
  // One unfreeze, and a look where that did not settle it. True: the guest is let go.
  bool attempt(const base::Deadline& deadline) {
    ++record_.thaw_tries;
    const base::TimePoint sent = clock_.now();
    const kube::Call call{.deadline = letting_.answer_until(deadline), .repeat = false};
    const Result<void> answer = kubevirt::unfreeze(client_, target_.vm, call, {});
    switch (kubevirt::thaw_answer(answer)) {
      case ThawAnswer::thawed:
        if (settled(sent)) return thawed(sent, "this run");
        letting_.again("the freeze had no clear answer and may still come");
        break;
      case ThawAnswer::vss_limit:
        record_.vss_limit = true;
        letting_.again("Windows had let go by itself");
        break;
      case ThawAnswer::paused:
        letting_.again("the VM is paused, so that its agent cannot hear us");
        break;
      case ThawAnswer::refused:
        record_.thaw_refused = true;
        letting_.again(answer.error().message());
        break;
      case ThawAnswer::not_running:
      case ThawAnswer::unclear:
        letting_.unclear(answer.error(), deadline);
        break;
    }
    return look(sent);
  }

  // An unfreeze that was sent now comes after the freeze.
  bool settled(base::TimePoint now) {
    const bool clear = !record_.sent || (record_.answer && *record_.answer != FreezeAnswer::unclear);
    const bool later = !clear && !record_.seen_frozen && now - *record_.sent < kubevirt::k_launcher_limit;
    letting_.settle_later(later);
    return !later;
  }

  // What the instance's status says. True: it is over.
  bool look(base::TimePoint sent) {
    const Result<std::optional<kubevirt::VirtualMachineInstance>> now = letting_.instance();
    if (!now.ok()) return false;
    if (!*now) return thawed(sent, "the end of the instance");
    const kubevirt::VirtualMachineInstance& vmi = **now;
    if (vmi.fs_freeze_status == "frozen") {
      record_.seen_frozen = true;
      return false;
    }
    return record_.seen_frozen && vmi.agent_connected && thawed(sent, "its status, which said frozen before");
  }

  bool thawed(base::TimePoint sent, const char* by) {
    record_.thaw_sent = sent;
    record_.thawed = clock_.now();
    record_.thawed_by = by;
    return true;
  }

  Result<void> give_up() {
    letting_.tell(Event::Kind::owed, letting_.last());
    Error error(ErrorCode::unavailable, guest(target_) + " may still be frozen: " + letting_.last(),
                "let it go with: " + thaw_command(target_.vm));
    record_.not_thawed = error;
    return error;
  }

  kube::Client& client_;
  base::Clock& clock_;
  const GuardTarget& target_;
  FreezeRecord& record_;
  LettingGo letting_;
};

}  // namespace

Result<void> let_go(kube::Client& client, base::Clock& clock, Observer& observer, const GuardTarget& target, FreezeRecord& record) {
  return Release(client, clock, observer, target, record).run();
}

FreezeGuard::FreezeGuard(kube::Client& client, base::Clock& clock, Observer& observer, Debts& debts, GuardTarget target,
                         std::chrono::seconds safety_timeout)
    : client_(client), clock_(clock), observer_(observer), debts_(debts), target_(std::move(target)) {
  record_.safety_timeout = safety_timeout;
}

FreezeGuard::~FreezeGuard() {
  try {
    (void)release().ok();
  } catch (...) {
    // No memory even for a request: the safety timer is left, as after a KILL.
  }
}

Result<void> FreezeGuard::freeze(const std::stop_token& stop) {
  if (stop.stop_requested()) return Error(ErrorCode::cancelled, guest(target_) + " was not frozen: interrupted before");
  debts_.add(target_.vm, Debt::freeze);
  owes_ = true;
  observer_.on({Event::Kind::freezing, target_.vm.ns, target_.vm.name, {}, {}, {}, clock_.wall_now()});
  record_.sent = clock_.now();
  const kube::Call call{.deadline = base::Deadline::after(clock_, k_answer_limit), .repeat = false};
  const Result<void> answer = kubevirt::freeze(client_, target_.vm, record_.safety_timeout, call, {});
  record_.answer = kubevirt::freeze_answer(answer);
  if (*record_.answer == FreezeAnswer::frozen) {
    record_.confirmed = clock_.now();
    observer_.on({Event::Kind::frozen, target_.vm.ns, target_.vm.name, {}, {}, {}, clock_.wall_now()});
    return {};
  }
  record_.answer_text = answer.error().message();
  if (*record_.answer == FreezeAnswer::refused) settle();
  // That nothing was heard for so long is no deadline of the caller's.
  if (answer.error().code() == ErrorCode::timeout) return Error(ErrorCode::unavailable, answer.error().message());
  return answer.error();
}

Result<void> FreezeGuard::release() {
  if (!owes_) return {};
  Result<void> gone = let_go(client_, clock_, observer_, target_, record_);
  settle();
  return gone;
}

void FreezeGuard::hand_over() { settle(); }

void FreezeGuard::settle() {
  owes_ = false;
  debts_.settle(target_.vm, Debt::freeze);
}

}  // namespace vmbackup::backup
