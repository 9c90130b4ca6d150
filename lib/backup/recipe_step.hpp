// One command of a recipe's step, where that step runs: in the guest, in a pod, or on this machine. Private to recipe_run.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "backup/recipe.hpp"
#include "base/clock.hpp"
#include "kube/client.hpp"
#include "kubevirt/guest_exec.hpp"

namespace vmbackup::backup {

// The VM that a recipe is for.
struct RecipeTarget {
  kube::Name vm;
  kubevirt::VirtualMachineInstance instance;  // without a UID: it does not run
};

struct RecipeOptions {
  std::string run;
  std::vector<std::string> environment;  // the caller's, "NAME=value": what steps may name, and PATH and the like for local ones
  bool tell_outputs = false;             // as events, step_said
};

struct StepOutcome {
  int exit_code = 0;
  std::size_t bytes = 0;
  std::string output;  // the beginning of it, untrusted
};

// Which command of the step.
enum class StepAction { quiesce, check, release };

// Finds the places, and runs commands there. Thread-safe but for prepare() and find_guest_again().
class StepRunner {
 public:
  StepRunner(kube::Client& client, base::Clock& clock, RecipeTarget target, RecipeOptions options);

  // Looks for pods and rights to ask, and sends nothing that changes anything. See RecipeRun::prepare for the errors.
  base::Result<void> prepare(const Recipe& recipe, const base::Deadline& deadline, const std::stop_token& stop);
  const std::vector<std::string>& notes() const { return notes_; }
  std::string where(const kubevirt::RecipeStep& step) const;

  // Runs it to its end; any exit code is good. unavailable: it did not end within its own timeout. Else as run_in_guest, kube::Client::exec
  // and base::run_command. `held`: the process that the step holds, by the agent's number.
  base::Result<StepOutcome> run(const kubevirt::RecipeStep& step, StepAction action, std::optional<std::int64_t> held,
                                const base::Deadline& deadline, const std::stop_token& stop);
  // Starts the quiesce command of a step that holds, in the guest.
  base::Result<std::int64_t> start_in_guest(const kubevirt::RecipeStep& step, const base::Deadline& deadline, const std::stop_token& stop);
  // None: it runs.
  base::Result<std::optional<StepOutcome>> look_in_guest(std::int64_t pid, const base::Deadline& deadline, const std::stop_token& stop);

  // Waits until the agent says that it is thawed, where that is about to come: KubeVirt's controller thaws a little after the last cut is
  // seen. 10 s at the most; what comes of it, the next question will tell.
  void await_thaw(const base::Deadline& deadline, const std::stop_token& stop);

  // The guest may have moved to another pod. False: it has ended, and what ran in it has too.
  base::Result<bool> find_guest_again(const base::Deadline& deadline, const std::stop_token& stop);

 private:
  using Variables = std::vector<std::string>;
  base::Result<void> prepare_step(const kubevirt::RecipeStep& step, const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<void> prepare_guest(const base::Deadline& deadline, const std::stop_token& stop);
  void note_hooks(const kube::Name& pod, const base::Deadline& deadline, const std::stop_token& stop);
  const kubevirt::RecipeCommand& command_of(const kubevirt::RecipeStep& step, StepAction action) const;
  kubevirt::GuestCommand guest_command(const kubevirt::RecipeStep& step, StepAction action, std::optional<std::int64_t> held) const;
  Variables ours(const kubevirt::RecipeStep& step, StepAction action, std::optional<std::int64_t> held) const;
  void add_named(const kubevirt::RecipeCommand& command, Variables& variables) const;
  base::Result<StepOutcome> run_in_pod(const kubevirt::RecipeStep& step, const kubevirt::RecipeCommand& command,
                                       const base::Deadline& deadline, const std::stop_token& stop);
  base::Result<StepOutcome> run_here(const kubevirt::RecipeStep& step, StepAction action, const base::Deadline& deadline,
                                     const std::stop_token& stop);

  kube::Client& client_;
  base::Clock& clock_;
  const RecipeTarget target_;
  const RecipeOptions options_;
  std::map<std::string, std::string> environment_;  // the caller's
  kubevirt::GuestPlace guest_;
  std::map<std::string, kubevirt::RecipePod> pods_;  // by step
  std::vector<std::string> notes_;
};

// The quiesce command of a step that holds: a process in the guest, or a thread of ours that waits for one in a pod or here.
class HeldCommand {
 public:
  HeldCommand(StepRunner& runner, base::Clock& clock, const kubevirt::RecipeStep& step);
  // Waits for what runs here to end, after TERM and KILL; lets go of a connection to a pod. A process in a guest goes on.
  ~HeldCommand();
  HeldCommand(const HeldCommand&) = delete;
  HeldCommand& operator=(const HeldCommand&) = delete;

  base::Result<void> start(const base::Deadline& deadline, const std::stop_token& stop);
  // None: it runs. not_found: it ended earlier, and how is not known any more.
  base::Result<std::optional<StepOutcome>> look(const base::Deadline& deadline, const std::stop_token& stop);
  // Waits until it has ended. False: it has not, or it is not known.
  bool wait(const base::Deadline& deadline);
  // Ends what runs here, by TERM and KILL.
  void end_here();
  std::optional<std::int64_t> pid() const { return pid_; }

 private:
  StepRunner& runner_;
  base::Clock& clock_;
  const kubevirt::RecipeStep& step_;
  std::optional<std::int64_t> pid_;  // in the guest
  std::mutex mutex_;
  std::optional<base::Result<StepOutcome>> end_;
  base::Wakeup ended_;
  std::jthread thread_;
};

}  // namespace vmbackup::backup
