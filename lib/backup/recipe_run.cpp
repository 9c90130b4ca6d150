#include "backup/recipe_run.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace vmbackup::backup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using kubevirt::RecipeStep;
using kubevirt::StepPlace;

constexpr base::Duration k_release_again = std::chrono::seconds(2);
// What a release has told to end may take its time over it.
constexpr base::Duration k_ending = std::chrono::seconds(15);
// A step that holds is looked at no more often than this.
constexpr base::Duration k_least_interval = std::chrono::milliseconds(100);

std::string program_of(const kubevirt::RecipeCommand& command) { return base::printable(command.argv.front(), 100); }

std::string ended_text(const std::optional<StepOutcome>& outcome) {
  return "it ended with exit code " + std::to_string(outcome->exit_code);
}

// An application that stays quiesced is worse than a release that runs twice, which a recipe's must bear.
bool worth_trying_again(const Error& error) {
  return error.code() == ErrorCode::precondition || error.code() == ErrorCode::not_found || error.code() == ErrorCode::unavailable;
}

// A clock for one action's report, and for the last of its errors.
class Timed {
 public:
  Timed(base::Clock& clock, std::vector<StepActionReport>& actions, const char* name)
      : clock_(clock), actions_(actions), begin_(clock.now()) {
    action.action = name;
  }
  Result<void> end(Result<void> result) {
    action.seconds = base::to_seconds(clock_.now() - begin_);
    if (!result) action.error = result.error();
    actions_.push_back(action);
    return result;
  }
  StepActionReport action;

 private:
  base::Clock& clock_;
  std::vector<StepActionReport>& actions_;
  const base::TimePoint begin_;
};

}  // namespace

RecipeRun::RecipeRun(kube::Client& client, base::Clock& clock, Observer& observer, Debts& debts, Recipe recipe, RecipeTarget target,
                     RecipeOptions options)
    : clock_(clock),
      observer_(observer),
      debts_(debts),
      recipe_(std::move(recipe)),
      target_(std::move(target)),
      options_(std::move(options)),
      runner_(client, clock, target_, options_) {
  for (const RecipeStep& each : recipe_.steps) {
    Step step;
    step.fact.name = each.name;
    step.report.name = each.name;
    step.report.place = kubevirt::to_string(each.place);
    step.report.hold = each.hold;
    steps_.push_back(std::move(step));
  }
}

RecipeRun::~RecipeRun() {
  try {
    (void)release().ok();
  } catch (...) {
    // No memory even for a request: as after a KILL.
  }
}

Result<void> RecipeRun::prepare(const base::Deadline& deadline, const std::stop_token& stop) {
  return runner_.prepare(recipe_, deadline, stop);
}

Result<void> RecipeRun::quiesce(const base::Deadline& deadline, const std::stop_token& stop) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const RecipeStep& step = recipe_.steps[i];
    if (stop.stop_requested()) return failure(i, Error(ErrorCode::cancelled, "interrupted before"), "quiesce");
    if (!std::exchange(owes_, true)) debts_.add(target_.vm, Debt::recipe);
    steps_[i].begun = true;
    tell(Event::Kind::quiescing, i, (step.place == StepPlace::local ? "on " : "in ") + runner_.where(step));
    const Result<void> ready = quiesce_step(i, deadline, stop);
    if (ready) {
      steps_[i].fact.ready = clock_.now();
      tell(Event::Kind::quiesced, i, {});
      continue;
    }
    const Error error = failure(i, ready.error(), "quiesce");
    const bool ended = ready.error().code() == ErrorCode::cancelled || deadline.passed(clock_);
    if (!step.may_fail || ended) return error;
    tell(Event::Kind::step_error, i, error.message());
  }
  return {};
}

Result<void> RecipeRun::quiesce_step(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop) {
  if (recipe_.steps[i].hold) return begin_hold(i, deadline, stop);
  const Result<void> done = quiesce_to_end(i, deadline, stop);
  if (!done || !recipe_.steps[i].check) return done;
  return check_until(i, deadline, stop);
}

Result<void> RecipeRun::quiesce_to_end(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop) {
  Timed timed(clock_, steps_[i].report.actions, "quiesce");
  return timed.end(attempt(i, StepAction::quiesce, timed.action, deadline, stop));
}

Result<void> RecipeRun::begin_hold(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop) {
  const RecipeStep& step = recipe_.steps[i];
  const base::Deadline until = base::Deadline::after(clock_, step.quiesce.timeout).sooner(deadline);
  Timed timed(clock_, steps_[i].report.actions, "quiesce");
  timed.action.tries = 1;
  steps_[i].held = std::make_unique<HeldCommand>(runner_, clock_, step);
  Result<void> started = timed.end(steps_[i].held->start(until, stop));
  if (!started) {
    // There is no number to ask for; release is run all the same, for the start may have come through.
    steps_[i].held.reset();
    return started;
  }
  Result<void> ready = check_until(i, until, stop);
  if (ready) ready = still_runs(i, until, stop);
  // That it took too long is no deadline of the run.
  if (!ready && ready.error().code() == ErrorCode::timeout && !deadline.passed(clock_))
    return ready.error().with_code(ErrorCode::unavailable);
  return ready;
}

// Tries the check until it passes.
Result<void> RecipeRun::check_until(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop) {
  const RecipeStep& step = recipe_.steps[i];
  const bool endless = step.hold && !step.check->retries;
  const int tries = endless ? 0 : step.check->retries.value_or(0) + 1;
  Timed timed(clock_, steps_[i].report.actions, "check");
  for (;;) {
    Result<void> passed = attempt(i, StepAction::check, timed.action, deadline, stop);
    if (passed || passed.error().code() == ErrorCode::cancelled) return timed.end(passed);
    if (!endless && timed.action.tries >= tries) return timed.end(passed);
    if (deadline.passed(clock_)) return timed.end(passed.error().wrap("its check did not pass in time").with_code(ErrorCode::timeout));
    if (step.hold) {
      // A command that has ended will not be in force later.
      const Result<void> runs = still_runs(i, deadline, stop);
      if (!runs) return timed.end(runs);
    }
    const base::Duration pause = std::max(step.check->interval, k_least_interval);
    if (!clock_.sleep_until(std::min(clock_.now() + pause, deadline.when()), stop)) {
      return timed.end(Error(ErrorCode::cancelled, "interrupted"));
    }
  }
}

Result<void> RecipeRun::still_runs(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop) {
  const Result<std::optional<StepOutcome>> seen = steps_[i].held->look(deadline, stop);
  if (!seen) return seen.error().wrap("whether it runs is not known");
  if (!*seen) return {};
  StepActionReport& quiesced = steps_[i].report.actions.front();
  quiesced.exit_code = (*seen)->exit_code;
  quiesced.output_bytes = (*seen)->bytes;
  if (options_.tell_outputs && !(*seen)->output.empty()) tell(Event::Kind::step_said, i, (*seen)->output);
  return Error(ErrorCode::precondition, program_of(recipe_.steps[i].quiesce) + " does not run any more: " + ended_text(*seen));
}

Result<void> RecipeRun::attempt(std::size_t i, StepAction what, StepActionReport& action, const base::Deadline& deadline,
                                const std::stop_token& stop) {
  const RecipeStep& step = recipe_.steps[i];
  const std::optional<std::int64_t> held = steps_[i].held ? steps_[i].held->pid() : std::nullopt;
  ++action.tries;
  action.exit_code.reset();
  const Result<StepOutcome> outcome = runner_.run(step, what, held, deadline, stop);
  if (!outcome) return outcome.error();
  action.exit_code = outcome->exit_code;
  action.output_bytes = outcome->bytes;
  if (options_.tell_outputs && !outcome->output.empty()) tell(Event::Kind::step_said, i, outcome->output);
  if (outcome->exit_code == 0) return {};
  const kubevirt::RecipeCommand& command = what == StepAction::quiesce ? step.quiesce
                                           : what == StepAction::check ? step.check->command
                                                                       : *step.release;
  return Error(ErrorCode::precondition, program_of(command) + " ended with exit code " + std::to_string(outcome->exit_code),
               options_.tell_outputs ? "" : "-v shows what it said");
}

Result<void> RecipeRun::still_held(bool guest_answers, const base::Deadline& deadline, const std::stop_token& stop) {
  std::optional<Error> first;
  bool awaited = false;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (!steps_[i].fact.ready || !steps_[i].begun) continue;
    if (recipe_.steps[i].place == StepPlace::guest && !guest_answers) continue;
    if (stop.stop_requested()) return failure(i, Error(ErrorCode::cancelled, "interrupted before"), "look at");
    const bool asks = recipe_.steps[i].hold || recipe_.steps[i].check;
    if (asks && recipe_.steps[i].place == StepPlace::guest && !std::exchange(awaited, true)) runner_.await_thaw(deadline, stop);
    const base::TimePoint asked = clock_.now();
    const Result<void> held = held_step(i, deadline, stop);
    if (held) {
      steps_[i].fact.held = asked;
      continue;
    }
    const Error error = failure(i, held.error(), "look at");
    tell(Event::Kind::step_error, i, error.message());
    if (!first) first = error;
  }
  if (first) return *first;
  return {};
}

Result<void> RecipeRun::held_step(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop) {
  const RecipeStep& step = recipe_.steps[i];
  if (!step.hold && !step.check) return {};
  Timed timed(clock_, steps_[i].report.actions, "held");
  if (step.check) {
    Result<void> passed = attempt(i, StepAction::check, timed.action, deadline, stop);
    if (!passed) return timed.end(std::move(passed));
  }
  return timed.end(step.hold ? still_runs(i, deadline, stop) : Result<void>());
}

Result<void> RecipeRun::release() {
  std::optional<Error> first;
  std::vector<std::string> others;
  for (std::size_t i = steps_.size(); i-- > 0;) {
    if (!std::exchange(steps_[i].begun, false)) continue;
    const Result<void> released = release_step(i);
    if (released) continue;
    const Error error = failure(i, released.error(), "release");
    tell(Event::Kind::step_error, i, error.message());
    if (recipe_.steps[i].may_fail) continue;
    if (first) {
      others.push_back(error.message());
    } else {
      first = error;
    }
  }
  if (std::exchange(owes_, false)) debts_.settle(target_.vm, Debt::recipe);
  if (first) return others.empty() ? *first : first->with_causes(std::move(others));
  return {};
}

Result<void> RecipeRun::release_step(std::size_t i) {
  const RecipeStep& step = recipe_.steps[i];
  if (!step.release) return {};
  tell(Event::Kind::releasing, i, {});
  Timed timed(clock_, steps_[i].report.actions, "release");
  Result<void> released = run_release(i, timed.action);
  // What holds is ended in any case, as far as that is ours to do.
  Result<void> ended = steps_[i].held ? end_held(i) : Result<void>();
  released = timed.end(released ? std::move(ended) : std::move(released));
  if (released) tell(Event::Kind::released, i, {});
  return released;
}

Result<void> RecipeRun::run_release(std::size_t i, StepActionReport& action) {
  const RecipeStep& step = recipe_.steps[i];
  const base::Deadline deadline = base::Deadline::after(clock_, step.release->timeout);
  for (;;) {
    Result<void> released = attempt(i, StepAction::release, action, deadline, {});
    // An exit code is an answer.
    if (released || action.exit_code || step.place == StepPlace::local) return released;
    if (step.place == StepPlace::guest) {
      const Result<bool> there = runner_.find_guest_again(deadline, {});
      if (there && !*there) return {};
    }
    if (!worth_trying_again(released.error()) || deadline.passed(clock_)) return released;
    clock_.sleep_until(std::min(clock_.now() + k_release_again, deadline.when()), {});
  }
}

Result<void> RecipeRun::end_held(std::size_t i) {
  HeldCommand& held = *steps_[i].held;
  const bool ended = held.wait(base::Deadline::after(clock_, k_ending));
  held.end_here();
  if (ended) return {};
  if (recipe_.steps[i].place == StepPlace::local)
    return Error(ErrorCode::precondition, "its release did not end what holds; it was killed");
  if (recipe_.steps[i].place == StepPlace::guest) {
    const Result<bool> there = runner_.find_guest_again(base::Deadline::after(clock_, k_ending), {});
    if (there && !*there) return {};
  }
  return Error(ErrorCode::precondition, "its release did not end what holds: it may still run in " + runner_.where(recipe_.steps[i]));
}

void RecipeRun::tell(Event::Kind kind, std::size_t i, const std::string& text) {
  observer_.on({kind, target_.vm.ns, target_.vm.name, steps_[i].fact.name, {}, text, clock_.wall_now()});
}

Error RecipeRun::failure(std::size_t i, const Error& error, const char* doing) {
  return error.wrap(std::string(doing) + " recipe step " + steps_[i].fact.name + " for VM " + target_.vm.ns + "/" + target_.vm.name);
}

std::vector<StepFact> RecipeRun::facts() const {
  std::vector<StepFact> facts;
  for (const Step& step : steps_) facts.push_back(step.fact);
  return facts;
}

std::vector<StepReport> RecipeRun::report() const {
  std::vector<StepReport> reports;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    reports.push_back(steps_[i].report);
    reports.back().where = runner_.where(recipe_.steps[i]);
  }
  return reports;
}

}  // namespace vmbackup::backup
