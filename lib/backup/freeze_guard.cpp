#include "backup/freeze_guard.hpp"

#include <algorithm>
#include <utility>

#include "base/backoff.hpp"
#include "kubevirt/resources.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::FreezeAnswer;
using kubevirt::ThawAnswer;

// virt-api gives virt-handler 10 s; what comes later is no answer.
constexpr base::Duration k_answer_limit = std::chrono::seconds(15);
constexpr base::Duration k_look_limit = std::chrono::seconds(5);
// Beyond the safety timer, in which a guest has to be let go.
constexpr base::Duration k_extra = std::chrono::seconds(75);
constexpr base::Duration k_first_pause = std::chrono::milliseconds(200);
constexpr base::Duration k_most_pause = std::chrono::seconds(2);

std::string guest(const GuardTarget& target) { return "the guest of VM " + target.vm.ns + "/" + target.vm.name; }

// One guest being let go.
class Release {
 public:
  Release(kube::Client& client, base::Clock& clock, Observer& observer, const GuardTarget& target, FreezeRecord& record)
      : client_(client), clock_(clock), observer_(observer), target_(target), record_(record) {}

  Result<void> run() {
    const base::TimePoint begin = clock_.now();
    const base::TimePoint timer = record_.sent ? *record_.sent + record_.safety_timeout : begin;
    const base::Deadline deadline = base::Deadline::at(std::max(begin, timer) + k_extra);
    tell(Event::Kind::thawing, {});
    base::Backoff pauses(k_first_pause, k_most_pause);
    while (!attempt(deadline)) {
      if (deadline.passed(clock_)) return give_up();
      const base::Duration pause = unsettled_ ? k_most_pause : pauses.next();
      clock_.sleep_until(std::min(clock_.now() + pause, deadline.when()), {});
    }
    tell(Event::Kind::thawed, record_.thawed_by);
    return {};
  }

 private:
  // One unfreeze, and a look where that did not settle it. True: the guest is let go.
  bool attempt(const base::Deadline& deadline) {
    ++record_.thaw_tries;
    const base::TimePoint sent = clock_.now();
    const base::Deadline until = base::Deadline::after(clock_, k_answer_limit).sooner(deadline);
    const Result<void> answer = kubevirt::unfreeze(client_, target_.vm, {.deadline = until, .repeat = false}, {});
    switch (kubevirt::thaw_answer(answer)) {
      case ThawAnswer::thawed:
        if (settled(sent)) return thawed(sent, "this run");
        again("the freeze had no clear answer and may still come");
        break;
      case ThawAnswer::vss_limit:
        record_.vss_limit = true;
        again("Windows had let go by itself");
        break;
      case ThawAnswer::paused:
        again("the VM is paused, so that its agent cannot hear us");
        break;
      case ThawAnswer::refused:
        record_.thaw_refused = true;
        again(answer.error().message());
        break;
      case ThawAnswer::not_running:
      case ThawAnswer::unclear:
        again(answer.error().message());
        break;
    }
    return look(sent);
  }

  // An unfreeze that was sent now comes after the freeze.
  bool settled(base::TimePoint now) {
    const bool clear = !record_.sent || (record_.answer && *record_.answer != FreezeAnswer::unclear);
    unsettled_ = !clear && !record_.seen_frozen && now - *record_.sent < kubevirt::k_launcher_limit;
    return !unsettled_;
  }

  // What the instance's status says. True: it is over.
  bool look(base::TimePoint sent) {
    const base::Deadline until = base::Deadline::after(clock_, k_look_limit);
    const Result<json::Value> object =
        client_.get(kubevirt::virtual_machine_instances(), target_.vm, {.deadline = until, .repeat = false}, {});
    if (!object.ok()) {
      return object.error().code() == ErrorCode::not_found && thawed(sent, "the end of the instance");
    }
    const Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(*object);
    if (!vmi.ok()) return false;
    const bool other = !target_.vmi_uid.empty() && vmi->uid != target_.vmi_uid;
    if (other || vmi->final()) return thawed(sent, "the end of the instance");
    if (vmi->fs_freeze_status == "frozen") {
      record_.seen_frozen = true;
      return false;
    }
    return record_.seen_frozen && vmi->agent_connected && thawed(sent, "its status, which said frozen before");
  }

  bool thawed(base::TimePoint sent, const char* by) {
    record_.thaw_sent = sent;
    record_.thawed = clock_.now();
    record_.thawed_by = by;
    return true;
  }

  void again(const std::string& why) {
    if (why == last_) return;
    last_ = why;
    tell(Event::Kind::thaw_again, why);
  }

  Result<void> give_up() {
    tell(Event::Kind::owed, last_);
    Error error(ErrorCode::unavailable, guest(target_) + " may still be frozen: " + last_,
                "let it go with: kubectl vmbackup thaw " + target_.vm.name + " -n " + target_.vm.ns);
    record_.not_thawed = error;
    return error;
  }

  void tell(Event::Kind kind, const std::string& text) {
    observer_.on({kind, target_.vm.ns, target_.vm.name, {}, {}, text, clock_.wall_now()});
  }

  kube::Client& client_;
  base::Clock& clock_;
  Observer& observer_;
  const GuardTarget& target_;
  FreezeRecord& record_;
  std::string last_;
  bool unsettled_ = false;
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
