#include "backup/pause_guard.hpp"

#include <algorithm>
#include <utility>

#include "backup/held_mark.hpp"
#include "backup/letting_go.hpp"
#include "kube/resource_version.hpp"
#include "kubevirt/resources.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::backup {

namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::PauseAnswer;
using kubevirt::UnpauseAnswer;

constexpr base::Duration k_confirm_limit = std::chrono::seconds(15);
constexpr base::Duration k_look_again = std::chrono::milliseconds(200);
// How long a watch is given to show a pause before it is read, and how often it is looked at.
constexpr base::Duration k_show_limit = std::chrono::seconds(1);
constexpr base::Duration k_watch_step = std::chrono::milliseconds(10);
constexpr base::Duration k_mark_limit = std::chrono::seconds(10);
constexpr int k_mark_tries = 5;

std::string vm_of(const GuardTarget& target) { return "VM " + target.vm.ns + "/" + target.vm.name; }

// One VM being let go.
class Release {
 public:
  Release(kube::Client& client, base::Clock& clock, Observer& observer, const GuardTarget& target, PauseRecord& record)
      : client_(client),
        clock_(clock),
        target_(target),
        record_(record),
        letting_(client, clock, observer, target, Event::Kind::unpause_again) {}

  Result<void> run(base::Duration longest_refusal) {
    const base::Deadline deadline = base::Deadline::after(clock_, k_extra + longest_refusal);
    letting_.tell(Event::Kind::unpausing, {});
    if (!letting_.persist(deadline, [&] { return attempt(deadline); })) return give_up();
    letting_.tell(Event::Kind::unpaused, record_.unpaused_by);
    return {};
  }

 private:
  // One unpause, and a look where that did not settle it. True: the VM runs.
  bool attempt(const base::Deadline& deadline) {
    ++record_.tries;
    letting_.settle_later(false);
    const base::TimePoint sent = clock_.now();
    const kube::Call call{.deadline = letting_.answer_until(deadline), .repeat = false};
    const Result<void> answer = kubevirt::unpause(client_, target_.vm, call, {});
    switch (kubevirt::unpause_answer(answer)) {
      case UnpauseAnswer::running:
        return runs(sent, "this run");
      case UnpauseAnswer::not_paused:
        return not_paused(sent);
      case UnpauseAnswer::snapshot:
        letting_.again("KubeVirt refuses it as long as a snapshot of the VM is in progress");
        break;
      case UnpauseAnswer::not_running:
      case UnpauseAnswer::unclear:
        letting_.unclear(answer.error(), deadline);
        break;
    }
    return look(sent);
  }

  // virt-api read the status just now, and it did not say Paused. That of a pause which has only just come does not either.
  bool not_paused(base::TimePoint sent) {
    if (look(sent)) return true;
    if (!record_.sent) return runs(sent, "its status, which does not say paused");
    if (record_.seen_paused) return false;
    const bool clear = record_.answer && *record_.answer == PauseAnswer::paused;
    if (!clear && sent - *record_.sent >= kubevirt::k_launcher_limit) return runs(sent, "its status, which never said paused");
    letting_.settle_later(true);
    letting_.again(clear ? "the pause was answered, and its status does not show it yet"
                         : "the pause had no clear answer and may still come");
    return false;
  }

  // What the instance's status says. True: it is over.
  bool look(base::TimePoint sent) {
    const Result<std::optional<kubevirt::VirtualMachineInstance>> now = letting_.instance();
    if (!now.ok()) return false;
    if (!*now) return runs(sent, "the end of the instance");
    if ((*now)->paused) record_.seen_paused = true;
    return !(*now)->paused && record_.seen_paused && runs(sent, "its status, which does not say paused any more");
  }

  bool runs(base::TimePoint sent, const char* by) {
    record_.unpause_sent = sent;
    record_.unpaused = clock_.now();
    record_.unpaused_by = by;
    return true;
  }

  Result<void> give_up() {
    letting_.tell(Event::Kind::pause_owed, letting_.last());
    Error error(ErrorCode::unavailable, vm_of(target_) + " may still be paused: " + letting_.last(),
                "let it run with: " + thaw_command(target_.vm));
    record_.not_unpaused = error;
    return error;
  }

  kube::Client& client_;
  base::Clock& clock_;
  const GuardTarget& target_;
  PauseRecord& record_;
  LettingGo letting_;
};

}  // namespace

Result<void> let_run(kube::Client& client, base::Clock& clock, Observer& observer, const GuardTarget& target,
                     base::Duration longest_refusal, PauseRecord& record) {
  return Release(client, clock, observer, target, record).run(longest_refusal);
}

PauseGuard::PauseGuard(kube::Client& client, base::Clock& clock, Observer& observer, Debts& debts, GuardTarget target, std::string run,
                       base::Duration longest_refusal, GuestWatch* watch)
    : client_(client),
      clock_(clock),
      observer_(observer),
      debts_(debts),
      target_(std::move(target)),
      run_(std::move(run)),
      longest_refusal_(longest_refusal),
      watch_(watch) {}

PauseGuard::~PauseGuard() {
  try {
    (void)release().ok();
  } catch (...) {
    // No memory even for a request: the mark is left, as after a KILL.
  }
}

Result<void> PauseGuard::pause(const base::Deadline& deadline, const std::stop_token& stop) {
  if (stop.stop_requested()) return Error(ErrorCode::cancelled, vm_of(target_) + " was not paused: interrupted before");
  const Result<void> marked = mark(deadline, stop);
  if (marked.ok() && !stop.stop_requested()) {
    debts_.add(target_.vm, Debt::pause);
    owes_ = true;
    tell(Event::Kind::pausing, {});
    record_.sent = clock_.now();
    // Not cut short by the caller's deadline: an answer that was not awaited would have to count as unclear.
    const kube::Call call{.deadline = base::Deadline::after(clock_, k_answer_limit), .repeat = false};
    const Result<void> answer = kubevirt::pause(client_, target_.vm, call, {});
    record_.answer = kubevirt::pause_answer(answer);
    if (!answer.ok()) record_.answer_text = answer.error().message();
    if (*record_.answer != PauseAnswer::refused) return confirm(deadline, stop);
    settle();
    unmark();
    return answer.error().wrap(vm_of(target_) + " was not paused");
  }
  unmark();
  if (!marked.ok()) return marked.error().wrap(vm_of(target_) + " was not paused");
  return Error(ErrorCode::cancelled, vm_of(target_) + " was not paused: interrupted before");
}

// The mark comes before the pause, and never in the place of another one: a VM that two runs hold would lose the trace of one of them.
Result<void> PauseGuard::mark(const base::Deadline& deadline, const std::stop_token& stop) {
  for (int tries = 0;; ++tries) {
    std::optional<std::string> version = tries == 0 ? version_shown() : std::nullopt;
    if (!version) {
      Result<std::string> read = version_read(deadline, stop);
      if (!read.ok()) return read.error();
      version = *std::move(read);
    }
    mark_ = held_mark_text(run_, clock_.wall_now());
    record_.marked = true;
    // Not ended by `stop`: whether it stands has to be known.
    const kube::Call call{.deadline = base::Deadline::after(clock_, k_mark_limit).sooner(deadline), .repeat = false};
    const Result<void> marked =
        kubevirt::annotate_unchanged(client_, kubevirt::virtual_machines(), target_.vm, *version, k_held_annotation, mark_, call, {});
    if (marked.ok()) return {};
    // No clear answer may hide a mark; a refusal does not.
    const ErrorCode code = marked.error().code();
    record_.marked = code != ErrorCode::conflict && code != ErrorCode::forbidden && code != ErrorCode::unauthenticated;
    // Somebody wrote the VM in between, virt-controller for one.
    const bool changed = code == ErrorCode::conflict;
    if (!changed || tries + 1 >= k_mark_tries) return marked.error().wrap("mark it as paused by this run");
  }
}

// The VM's version as the watch shows it, where nothing stands in the way of a pause. If it is old by now, the mark is refused.
std::optional<std::string> PauseGuard::version_shown() {
  const std::optional<Standing> shown = watch_ == nullptr ? std::nullopt : watch_->standing(target_.vm);
  if (!shown || !shown->held_mark.empty() || shown->instance != target_.vmi_uid || shown->paused) return std::nullopt;
  before_ = shown->instance_version;
  return shown->version;
}

// The same from the server, or what stands in the way.
Result<std::string> PauseGuard::version_read(const base::Deadline& deadline, const std::stop_token& stop) {
  const Result<json::Value> object = client_.get(kubevirt::virtual_machines(), target_.vm, {.deadline = deadline}, stop);
  if (!object.ok()) return object.error();
  Result<kubevirt::VirtualMachine> vm = kubevirt::decode_virtual_machine(*object);
  if (!vm.ok()) return vm.error();
  const std::string theirs = vm->annotation(k_held_annotation);
  if (!theirs.empty()) {
    const HeldMark held = read_held_mark(theirs);
    return Error(ErrorCode::conflict, (held.run.empty() ? "another run" : "run " + held.run) + " has marked it as paused",
                 "if that run has died, let the VM go with: " + thaw_command(target_.vm));
  }
  const Result<void> as_planned = look_before(deadline, stop);
  if (!as_planned.ok()) return as_planned.error();
  return std::move(vm->resource_version);
}

Result<void> PauseGuard::look_before(const base::Deadline& deadline, const std::stop_token& stop) {
  const Result<json::Value> object = client_.get(kubevirt::virtual_machine_instances(), target_.vm, {.deadline = deadline}, stop);
  if (!object.ok() && object.error().code() == ErrorCode::not_found) return Error(ErrorCode::precondition, "its instance has just ended");
  if (!object.ok()) return object.error();
  const Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(*object);
  if (!vmi.ok()) return vmi.error();
  if (!is_target(*vmi, target_)) return Error(ErrorCode::precondition, "its instance has just ended");
  if (vmi->paused) return Error(ErrorCode::precondition, "somebody has just paused it");
  before_ = vmi->resource_version;
  return {};
}

// The watch shows it in a version later than the one that was looked at before: false where it does not soon.
bool PauseGuard::shown_paused(const base::Deadline& until, const std::stop_token& stop) const {
  for (;;) {
    const std::optional<Standing> shown = watch_ == nullptr ? std::nullopt : watch_->standing(target_.vm);
    if (!shown || shown->instance != target_.vmi_uid) return false;
    if (shown->paused && kube::is_older(before_, shown->instance_version)) return true;
    if (until.passed(clock_) || !clock_.sleep_until(std::min(clock_.now() + k_watch_step, until.when()), stop)) return false;
  }
}

Result<void> PauseGuard::confirm(const base::Deadline& deadline, const std::stop_token& stop) {
  const base::Deadline until = base::Deadline::after(clock_, k_confirm_limit).sooner(deadline);
  if (shown_paused(base::Deadline::after(clock_, k_show_limit).sooner(until), stop)) return confirmed();
  for (;;) {
    const kube::Call call{.deadline = base::Deadline::after(clock_, k_look_limit).sooner(until), .repeat = false};
    const Result<json::Value> object = client_.get(kubevirt::virtual_machine_instances(), target_.vm, call, stop);
    if (object.ok()) {
      const Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(*object);
      if (vmi.ok() && !is_target(*vmi, target_)) break;
      if (vmi.ok() && vmi->paused) {
        return confirmed();
      }
    } else if (object.error().code() == ErrorCode::not_found) {
      break;
    }
    const bool go_on = !until.passed(clock_) && clock_.sleep_until(std::min(clock_.now() + k_look_again, until.when()), stop);
    if (go_on) continue;
    if (stop.stop_requested()) return Error(ErrorCode::cancelled, "interrupted while " + vm_of(target_) + " was being paused");
    if (deadline.passed(clock_)) return Error(ErrorCode::timeout, "the deadline passed before " + vm_of(target_) + " was seen paused");
    return Error(ErrorCode::unavailable,
                 vm_of(target_) + " was not seen paused: " +
                     (record_.answer_text.empty() ? "the pause was answered well, and its status does not say so" : record_.answer_text));
  }
  return Error(ErrorCode::precondition, vm_of(target_) + " was not paused: its instance ended meanwhile");
}

Result<void> PauseGuard::confirmed() {
  record_.confirmed = clock_.now();
  record_.seen_paused = true;
  tell(Event::Kind::paused, {});
  return {};
}

Result<void> PauseGuard::release() {
  if (!owes_) return {};
  Result<void> running = let_run(client_, clock_, observer_, target_, longest_refusal_, record_);
  if (running.ok()) unmark();
  settle();
  return running;
}

// Best effort: a mark that stays over a running VM is only untidy, but would keep the next run from pausing it.
void PauseGuard::unmark() {
  if (!record_.marked) return;
  const base::Deadline deadline = base::Deadline::after(clock_, k_mark_limit);
  const Result<void> dropped = drop_held_mark(client_, clock_, target_.vm, mark_, deadline, {});
  if (dropped.ok()) {
    record_.marked = false;
    return;
  }
  tell(Event::Kind::warning, "its mark " + std::string(k_held_annotation) + " could not be taken away, take it away with " +
                                 thaw_command(target_.vm) + ": " + dropped.error().message());
}

void PauseGuard::settle() {
  owes_ = false;
  debts_.settle(target_.vm, Debt::pause);
}

void PauseGuard::tell(Event::Kind kind, const std::string& text) {
  observer_.on({kind, target_.vm.ns, target_.vm.name, {}, {}, text, clock_.wall_now()});
}

}  // namespace vmbackup::backup
