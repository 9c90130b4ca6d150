// The owner of one VM's quiesced applications: from before the first step until the last release has been run.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/debts.hpp"
#include "backup/events.hpp"
#include "backup/recipe.hpp"
#include "backup/recipe_step.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"

namespace vmbackup::backup {

// Use, in this order:
//   prepare()                    while planning; changes nothing
//   quiesce()                    before the freeze is sent; where it fails, no freeze and no snapshot
//   still_held(false)            after the last cut was seen, while the guest is still frozen: steps in pods and here
//   still_held(true)             after the thaw is confirmed: all steps, those in the guest too (a frozen agent answers nothing else)
//   release()                    on every path, after the thaw; the destructor is the last net
// still_held(true) alone, after the thaw, is enough for the verdict: a process that runs then ran at the cut. Not thread-safe; one per VM,
// each on whatever thread. Steps that hold in a pod or here have a thread of their own, which tells the observer nothing.
//
// What can end this process, and what becomes of a quiesced application then:
//   INT, TERM, HUP, QUIT   a stop request; release() runs to its end, and a further signal changes nothing while it is owed (Debts)
//   exception              the destructor releases
//   KILL, power            nobody releases. So a command that holds should end by itself after a while (SELECT SLEEP(600))
class RecipeRun {
 public:
  // Owes nothing yet. All references must outlive it.
  RecipeRun(kube::Client& client, base::Clock& clock, Observer& observer, Debts& debts, Recipe recipe, RecipeTarget target,
            RecipeOptions options);
  // The last net: releases what is still owed, and ends what runs here. Blocks as release() does.
  ~RecipeRun();
  RecipeRun(const RecipeRun&) = delete;
  RecipeRun& operator=(const RecipeRun&) = delete;

  // Looks for the pods, the rights, the variables that the recipe names, and whether the agent allows guest-exec.
  // usage: a variable that is not set. precondition: the VM does not run or has no agent connected, the agent does not allow the commands,
  // more than one pod fits. not_found: no pod fits. forbidden: no right to exec there. Else as kube::Client. Each names VM and step.
  base::Result<void> prepare(const base::Deadline& deadline, const std::stop_token& stop);
  // One sentence each, for the plan: a Velero backup would run hooks of the same pod. After prepare().
  const std::vector<std::string>& notes() const { return runner_.notes(); }

  // Runs the steps in their order, each with its check and its tries. Ends at the first that fails and has not `on-error: continue`.
  // precondition: a command ended with another exit code than 0, or a check did not pass; unavailable: one did not end in its own time, or
  // its place gave no answer; timeout: the deadline; cancelled: stop. release() is owed from before the first command is sent.
  base::Result<void> quiesce(const base::Deadline& deadline, const std::stop_token& stop);

  // Looks whether all is still in force: a step that holds runs, a check passes (one try). `guest_answers`: false leaves out the steps in
  // the guest; true waits up to 10 s for a thaw that is about to come. What is found in force is a fact with the time of the question; the
  // error says what was not, and why (codes as quiesce()).
  base::Result<void> still_held(bool guest_answers, const base::Deadline& deadline, const std::stop_token& stop);

  // Runs the releases of all steps that were begun, last first, each in its own time whatever came before, and ends or waits for what held.
  // Takes no stop token: nothing cancels it. A release in a guest or pod without an exit code (the agent is frozen or not connected, no
  // answer) is tried again every 2 s in its time, so it may run twice; a guest that has ended needs none. After it nothing is owed; a
  // second call does nothing. The first error of a step without `on-error: continue`, the others as its causes; all are told to the
  // observer.
  base::Result<void> release();
  bool owes() const { return owes_; }

  // In the order of the recipe, all of its steps.
  std::vector<StepFact> facts() const;
  std::vector<StepReport> report() const;

 private:
  struct Step {
    StepFact fact;
    StepReport report;
    std::unique_ptr<HeldCommand> held;
    bool begun = false;
  };
  base::Result<void> quiesce_step(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> quiesce_to_end(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> begin_hold(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> check_until(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> still_runs(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> held_step(std::size_t i, const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> release_step(std::size_t i);
  base::Result<void> run_release(std::size_t i, StepActionReport& action);
  base::Result<void> end_held(std::size_t i);
  // One try of one command: its exit code and bytes go into the report; an error where it is not 0.
  base::Result<void> attempt(std::size_t i, StepAction what, StepActionReport& action, const base::Deadline& deadline,
                             const std::stop_token& stop);
  void tell(Event::Kind kind, std::size_t i, const std::string& text);
  base::Error failure(std::size_t i, const base::Error& error, const char* doing);

  base::Clock& clock_;
  Observer& observer_;
  Debts& debts_;
  const Recipe recipe_;
  const RecipeTarget target_;
  const RecipeOptions options_;
  StepRunner runner_;
  std::vector<Step> steps_;
  bool owes_ = false;
};

}  // namespace vmbackup::backup
