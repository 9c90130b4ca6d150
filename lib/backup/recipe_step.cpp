#include "backup/recipe_step.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/command.hpp"
#include "base/text.hpp"
#include "kube/access_review.hpp"
#include "kubevirt/freeze_probe.hpp"
#include "kubevirt/resources.hpp"
#include "kubevirt/velero.hpp"

namespace vmbackup::backup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::RecipeCommand;
using kubevirt::RecipeStep;
using kubevirt::StepPlace;

// libvirt gives an agent that does not answer up after 5 s.
constexpr base::Duration k_answer_limit = std::chrono::seconds(10);
constexpr base::Duration k_look_pause = std::chrono::milliseconds(500);
constexpr std::size_t k_most_told = 4096;
constexpr std::size_t k_most_pod_output = std::size_t{4} << 20;
// What a program needs that is no secret of anybody's.
constexpr std::array<const char*, 9> k_local_variables = {"PATH",   "HOME", "USER",   "LOGNAME",   "LANG",
                                                          "LC_ALL", "TZ",   "TMPDIR", "KUBECONFIG"};

const char* to_string(StepAction action) {
  return action == StepAction::quiesce ? "quiesce" : action == StepAction::check ? "check" : "release";
}

StepOutcome outcome_of(int exit_code, const std::string& out, const std::string& err) {
  StepOutcome outcome{exit_code, out.size() + err.size(), out.substr(0, k_most_told)};
  outcome.output += err.substr(0, k_most_told - outcome.output.size());
  return outcome;
}

bool sets(const std::vector<std::string>& variables, const std::string& name) {
  return std::any_of(variables.begin(), variables.end(), [&name](const std::string& one) { return one.rfind(name + "=", 0) == 0; });
}

bool names_secrets(const RecipeCommand& command) { return !command.env_from.empty() || !command.stdin_from.empty(); }

std::string vm_text(const kube::Name& vm) { return "VM " + vm.ns + "/" + vm.name; }

}  // namespace

StepRunner::StepRunner(kube::Client& client, base::Clock& clock, RecipeTarget target, RecipeOptions options)
    : client_(client), clock_(clock), target_(std::move(target)), options_(std::move(options)) {
  for (const std::string& line : options_.environment) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) environment_.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  guest_.vmi = target_.instance;
}

std::string StepRunner::where(const RecipeStep& step) const {
  if (step.place == StepPlace::guest) return "the guest";
  if (step.place == StepPlace::local) return "this machine";
  const auto found = pods_.find(step.name);
  return found == pods_.end() ? "a pod" : "pod " + found->second.ns + "/" + found->second.name;
}

Result<void> StepRunner::prepare(const Recipe& recipe, const base::Deadline& deadline, const std::stop_token& stop) {
  if (recipe.any(StepPlace::guest)) {
    Result<void> guest = prepare_guest(deadline, stop);
    if (!guest) return guest;
  }
  for (const RecipeStep& step : recipe.steps) {
    const Result<void> prepared = prepare_step(step, deadline, stop);
    if (!prepared) return prepared.error().wrap("recipe step " + step.name + " for " + vm_text(target_.vm));
  }
  return {};
}

Result<void> StepRunner::prepare_guest(const base::Deadline& deadline, const std::stop_token& stop) {
  const kube::Call call{.deadline = deadline};
  const std::string what = "the recipe for " + vm_text(target_.vm) + " has steps in the guest";
  if (target_.instance.uid.empty()) return Error(ErrorCode::precondition, what + ", and the VM does not run");
  if (!target_.instance.agent_connected) return Error(ErrorCode::precondition, what + ", and its guest agent is not connected");
  const kube::Access access{"get", "", "pods", "exec", target_.vm.ns};
  const Result<bool> allowed = kube::may(client_, access, call, stop);
  if (!allowed) return allowed.error().wrap(what);
  if (!*allowed) {
    return Error(ErrorCode::forbidden, what + ", and you may not " + kube::describe(access) + " in namespace " + target_.vm.ns,
                 "kubectl auth can-i get pods --subresource=exec -n " + target_.vm.ns);
  }
  const Result<kube::Name> pod = kubevirt::find_launcher_pod(client_, guest_.vmi, call, stop);
  if (!pod) return pod.error().wrap(what);
  guest_.pod = *pod;
  const Result<void> able = kubevirt::check_guest_exec(client_, guest_, call, stop);
  if (!able) return able.error().wrap(what);
  note_hooks(*pod, deadline, stop);
  return {};
}

Result<void> StepRunner::prepare_step(const RecipeStep& step, const base::Deadline& deadline, const std::stop_token& stop) {
  for (const StepAction action : {StepAction::quiesce, StepAction::check, StepAction::release}) {
    if ((action == StepAction::check && !step.check) || (action == StepAction::release && !step.release)) continue;
    const RecipeCommand& command = command_of(step, action);
    std::vector<std::string> names = command.env_from;
    if (!command.stdin_from.empty()) names.push_back(command.stdin_from);
    for (const std::string& name : names) {
      if (environment_.count(name) > 0) continue;
      return Error(ErrorCode::usage, name + " is not set in the environment, and its " + to_string(action) + " needs it");
    }
  }
  if (step.place != StepPlace::pod) return {};
  const Result<kubevirt::RecipePod> pod = kubevirt::find_recipe_pod(client_, step.pod, target_.vm.ns, {.deadline = deadline}, stop);
  if (!pod) return pod.error();
  pods_[step.name] = *pod;
  const kube::Access access{"get", "", "pods", "exec", pod->ns};
  const Result<bool> allowed = kube::may(client_, access, {.deadline = deadline}, stop);
  if (!allowed) return allowed.error();
  if (!*allowed) return Error(ErrorCode::forbidden, "you may not " + kube::describe(access) + " in namespace " + pod->ns);
  note_hooks({pod->ns, pod->name}, deadline, stop);
  return {};
}

void StepRunner::note_hooks(const kube::Name& pod, const base::Deadline& deadline, const std::stop_token& stop) {
  const Result<bool> hooks = kubevirt::has_velero_hooks(client_, pod, {.deadline = deadline, .repeat = false}, stop);
  // Only a note: who may not read it is told nothing.
  if (!hooks || !*hooks) return;
  std::string note = "pod " + pod.ns + "/" + pod.name + " has Velero's hook annotations as well: a Velero backup runs those too";
  if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(std::move(note));
}

Result<bool> StepRunner::find_guest_again(const base::Deadline& deadline, const std::stop_token& stop) {
  const kube::Call call{.deadline = base::Deadline::after(clock_, k_answer_limit).sooner(deadline)};
  const Result<json::Value> object = client_.get(kubevirt::virtual_machine_instances(), target_.vm, call, stop);
  if (!object && object.error().code() == ErrorCode::not_found) return false;
  if (!object) return object.error();
  const Result<kubevirt::VirtualMachineInstance> vmi = kubevirt::decode_virtual_machine_instance(*object);
  if (!vmi) return vmi.error();
  if (vmi->uid != target_.instance.uid || vmi->final()) return false;
  const Result<kube::Name> pod = kubevirt::find_launcher_pod(client_, *vmi, call, stop);
  if (!pod) return pod.error();
  guest_ = {*vmi, *pod};
  return true;
}

void StepRunner::await_thaw(const base::Deadline& deadline, const std::stop_token& stop) {
  const base::Deadline until = base::Deadline::after(clock_, k_answer_limit).sooner(deadline);
  while (!until.passed(clock_)) {
    const kube::Call call{.deadline = until, .repeat = false};
    const Result<kubevirt::FreezeState> state = kubevirt::probe_freeze_state(client_, guest_.vmi, guest_.pod, call, stop);
    const bool frozen = state && *state == kubevirt::FreezeState::frozen;
    if (!frozen || !clock_.sleep_until(std::min(clock_.now() + k_look_pause, until.when()), stop)) return;
  }
}

const RecipeCommand& StepRunner::command_of(const RecipeStep& step, StepAction action) const {
  return action == StepAction::quiesce ? step.quiesce : action == StepAction::check ? step.check->command : *step.release;
}

StepRunner::Variables StepRunner::ours(const RecipeStep& step, StepAction action, std::optional<std::int64_t> held) const {
  Variables variables = {"VMBACKUP_VM=" + target_.vm.name, "VMBACKUP_NAMESPACE=" + target_.vm.ns, "VMBACKUP_RUN=" + options_.run,
                         "VMBACKUP_STEP=" + step.name, std::string("VMBACKUP_ACTION=") + to_string(action)};
  if (held) variables.push_back("VMBACKUP_HELD_PID=" + std::to_string(*held));
  return variables;
}

void StepRunner::add_named(const RecipeCommand& command, Variables& variables) const {
  for (const auto& [name, value] : command.env) variables.push_back(name + "=" + value);
  for (const std::string& name : command.env_from) {
    const auto found = environment_.find(name);
    if (found != environment_.end()) variables.push_back(name + "=" + found->second);
  }
}

kubevirt::GuestCommand StepRunner::guest_command(const RecipeStep& step, StepAction action, std::optional<std::int64_t> held) const {
  const RecipeCommand& command = command_of(step, action);
  kubevirt::GuestCommand guest{.argv = command.argv, .environment = {}, .input = {}, .secret = names_secrets(command)};
  add_named(command, guest.environment);
  // What an agent is given replaces all that it would pass on, and without SystemRoot little starts on Windows. So there, and where the
  // system is not known, nothing is given unless the recipe asks for it.
  const std::string& os = guest_.vmi.guest_os_id;
  const bool unix = !os.empty() && os != "mswindows";
  if (unix || !guest.environment.empty()) {
    if (unix && !sets(guest.environment, "PATH")) {
      guest.environment.emplace_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    }
    if (os == "mswindows") {
      if (!sets(guest.environment, "SystemRoot")) guest.environment.emplace_back("SystemRoot=C:\\Windows");
      if (!sets(guest.environment, "PATH")) guest.environment.emplace_back("PATH=C:\\Windows\\system32;C:\\Windows");
    }
    const Variables variables = ours(step, action, held);
    guest.environment.insert(guest.environment.end(), variables.begin(), variables.end());
  }
  if (!command.stdin_from.empty()) guest.input = environment_.at(command.stdin_from);
  return guest;
}

Result<StepOutcome> StepRunner::run(const RecipeStep& step, StepAction action, std::optional<std::int64_t> held,
                                    const base::Deadline& deadline, const std::stop_token& stop) {
  const RecipeCommand& command = command_of(step, action);
  // A step that holds has no end of its own.
  const bool endless = step.hold && action == StepAction::quiesce;
  const base::Deadline until = endless ? deadline : base::Deadline::after(clock_, command.timeout).sooner(deadline);
  Result<StepOutcome> outcome = StepOutcome{};
  if (step.place == StepPlace::guest) {
    const Result<kubevirt::GuestProcess> process =
        kubevirt::run_in_guest(client_, clock_, guest_, guest_command(step, action, held), until, stop);
    outcome = process ? Result<StepOutcome>(outcome_of(process->exit_code, process->out, process->err)) : process.error();
  } else if (step.place == StepPlace::pod) {
    outcome = run_in_pod(step, command, until, stop);
  } else {
    outcome = run_here(step, action, until, stop);
  }
  // Its own time is no deadline of the run.
  const bool own = !outcome && outcome.error().code() == ErrorCode::timeout && !deadline.passed(clock_);
  if (own) return outcome.error().with_code(ErrorCode::unavailable);
  return outcome;
}

Result<StepOutcome> StepRunner::run_in_pod(const RecipeStep& step, const RecipeCommand& command, const base::Deadline& deadline,
                                           const std::stop_token& stop) {
  const auto pod = pods_.find(step.name);
  if (pod == pods_.end()) return Error(ErrorCode::internal, "its pod was not looked for");
  kube::ExecCommand exec{.container = pod->second.container, .argv = command.argv, .input = {}, .most_bytes = k_most_pod_output};
  if (!command.stdin_from.empty()) exec.input = environment_.at(command.stdin_from);
  const Result<kube::ExecEnd> end = client_.exec({pod->second.ns, pod->second.name}, exec, {.deadline = deadline, .repeat = false}, stop);
  if (!end) return end.error();
  return outcome_of(end->exit_code, end->out, end->err);
}

Result<StepOutcome> StepRunner::run_here(const RecipeStep& step, StepAction action, const base::Deadline& deadline,
                                         const std::stop_token& stop) {
  const RecipeCommand& command = command_of(step, action);
  base::CommandOptions child{.argv = command.argv, .environment = ours(step, action, {}), .capture = true};
  add_named(command, child.environment);
  for (const char* name : k_local_variables) {
    const auto found = environment_.find(name);
    if (found != environment_.end() && !sets(child.environment, name)) child.environment.push_back(found->first + "=" + found->second);
  }
  const Result<base::CommandEnd> end = base::run_command(child, clock_, deadline, stop);
  if (!end) return end.error();
  if (end->given_up) {
    const std::string program = base::printable(command.argv.front(), 100);
    if (stop.stop_requested()) return Error(ErrorCode::cancelled, program + " was ended: interrupted");
    return Error(ErrorCode::timeout, program + " did not end in time and was ended");
  }
  return StepOutcome{end->exit_code, end->output_bytes, end->output.substr(0, k_most_told)};
}

Result<std::int64_t> StepRunner::start_in_guest(const RecipeStep& step, const base::Deadline& deadline, const std::stop_token& stop) {
  kubevirt::GuestCommand command = guest_command(step, StepAction::quiesce, {});
  // Whether it runs must be about the process itself, not about who holds its outputs open.
  command.capture = false;
  const kube::Call call{.deadline = base::Deadline::after(clock_, k_answer_limit).sooner(deadline), .repeat = false};
  return kubevirt::start_in_guest(client_, guest_, command, call, stop);
}

Result<std::optional<StepOutcome>> StepRunner::look_in_guest(std::int64_t pid, const base::Deadline& deadline,
                                                             const std::stop_token& stop) {
  const kube::Call call{.deadline = base::Deadline::after(clock_, k_answer_limit).sooner(deadline), .repeat = false};
  const Result<kubevirt::GuestProcess> process = kubevirt::look_in_guest(client_, guest_, pid, call, stop);
  if (!process) return process.error();
  if (!process->ended) return std::optional<StepOutcome>();
  return std::optional<StepOutcome>(outcome_of(process->exit_code, process->out, process->err));
}

HeldCommand::HeldCommand(StepRunner& runner, base::Clock& clock, const RecipeStep& step) : runner_(runner), clock_(clock), step_(step) {}

HeldCommand::~HeldCommand() { end_here(); }

Result<void> HeldCommand::start(const base::Deadline& deadline, const std::stop_token& stop) {
  if (step_.place == StepPlace::guest) {
    const Result<std::int64_t> pid = runner_.start_in_guest(step_, deadline, stop);
    if (!pid) return pid.error();
    pid_ = *pid;
    return {};
  }
  thread_ = std::jthread([this](const std::stop_token& over) {
    Result<StepOutcome> end = runner_.run(step_, StepAction::quiesce, {}, base::Deadline::never(), over);
    const std::lock_guard lock(mutex_);
    end_ = std::move(end);
    ended_.notify();
  });
  return {};
}

Result<std::optional<StepOutcome>> HeldCommand::look(const base::Deadline& deadline, const std::stop_token& stop) {
  if (!pid_) {
    const std::lock_guard lock(mutex_);
    if (!end_) return std::optional<StepOutcome>();
    if (!end_->ok()) return end_->error();
    return std::optional<StepOutcome>(end_->value());
  }
  {
    const std::lock_guard lock(mutex_);
    if (end_) return end_->ok() ? Result<std::optional<StepOutcome>>(std::optional<StepOutcome>(end_->value())) : end_->error();
  }
  Result<std::optional<StepOutcome>> seen = runner_.look_in_guest(*pid_, deadline, stop);
  // An agent tells an end once.
  const std::lock_guard lock(mutex_);
  if (seen && *seen) end_ = Result<StepOutcome>(**seen);
  if (!seen && seen.error().code() == ErrorCode::not_found) end_ = Result<StepOutcome>(seen.error());
  return seen;
}

bool HeldCommand::wait(const base::Deadline& deadline) {
  if (!pid_) {
    const auto over = [this] {
      const std::lock_guard lock(mutex_);
      return end_.has_value();
    };
    return over() || clock_.wait(ended_, deadline.when(), {}) == base::WaitEnd::woken || over();
  }
  for (;;) {
    const Result<std::optional<StepOutcome>> seen = look(deadline, {});
    if (seen ? seen->has_value() : seen.error().code() == ErrorCode::not_found) return true;
    if (deadline.passed(clock_)) return false;
    clock_.sleep_until(std::min(clock_.now() + k_look_pause, deadline.when()), {});
  }
}

void HeldCommand::end_here() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace vmbackup::backup
