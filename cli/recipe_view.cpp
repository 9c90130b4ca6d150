#include "cli/recipe_view.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "cli/error_view.hpp"

namespace vmbackup::cli {
namespace {

using backup::StepActionReport;
using backup::StepReport;
using json::Value;

Value action_value(const StepActionReport& action) {
  return Value::object({{"action", action.action},
                        {"exitCode", action.exit_code ? Value(*action.exit_code) : Value()},
                        {"outputBytes", static_cast<std::int64_t>(action.output_bytes)},
                        {"tries", action.tries},
                        {"durationSeconds", action.seconds},
                        {"error", action.error ? error_value(*action.error) : Value()}});
}

const StepActionReport* action_of(const StepReport& step, const char* name) {
  const auto found =
      std::find_if(step.actions.rbegin(), step.actions.rend(), [name](const StepActionReport& action) { return action.action == name; });
  return found == step.actions.rend() ? nullptr : &*found;
}

std::string part(const StepReport& step, const char* name, const char* good, const char* bad) {
  const StepActionReport* action = action_of(step, name);
  if (action == nullptr) return {};
  return std::string(", ") + (action->error ? bad : good);
}

}  // namespace

Value steps_value(const std::vector<StepReport>& steps) {
  json::Array items;
  for (const StepReport& step : steps) {
    json::Array actions;
    for (const StepActionReport& action : step.actions) actions.push_back(action_value(action));
    items.push_back(Value::object(
        {{"name", step.name}, {"in", step.place}, {"where", step.where}, {"hold", step.hold}, {"actions", std::move(actions)}}));
  }
  return items;
}

const std::vector<FieldText>& step_field_texts() {
  static const std::vector<FieldText> texts = {
      {"name, hold", "as in the recipe"},
      {"in, where", "guest, pod or local; and which one: \"the guest\", \"pod web/proxy-0\", \"this machine\""},
      {"actions[]", "what was run, in the order of time; empty where the step was not begun"},
      {"actions[].action", "quiesce, check (the last try before the freeze), held (after the last cut) or release"},
      {"actions[].exitCode", "of its command; null where it was not started, did not end, or nobody knows how"},
      {"actions[].outputBytes", "how much it said; what it said is shown by -v alone, and kept nowhere"},
      {"actions[].tries, actions[].durationSeconds", "how often and how long it was tried"},
      {"actions[].error", "null, or code, message, hint, reason and causes"},
  };
  return texts;
}

std::string steps_text(const std::vector<StepReport>& steps) {
  std::string text;
  for (const StepReport& step : steps) {
    text += "recipe step " + base::printable(step.name, 64) + (step.place == "local" ? ", on " : ", in ") +
            base::printable(step.where, 300) + ": ";
    const StepActionReport* check = action_of(step, "check");
    const StepActionReport* quiesce = action_of(step, "quiesce");
    const bool ready = quiesce != nullptr && !quiesce->error && (check == nullptr || !check->error);
    text += quiesce == nullptr ? "not begun" : ready ? "ready" : "not ready";
    text += part(step, "held", "held", "not held") + part(step, "release", "released", "its release failed") + '\n';
  }
  return text;
}

const std::vector<FieldText>& recipe_field_texts() {
  static const std::vector<FieldText> texts = {
      {"apiVersion", "vmbackup/v1"},
      {"kind", "Recipe"},
      {"steps[]", "1 to 32 steps; they are quiesced in this order and released in the opposite one"},
      {"steps[].name", "lower case letters, digits and -, no name twice. It stands in messages, in the report and in the evidence"},
      {"steps[].in",
       "where its commands run. guest: by the guest agent (guest-exec), before the freeze and after the thaw. pod: in a container. local: "
       "on "
       "this machine, in a process group of its own"},
      {"steps[].pod", "which pod, for in: pod and only there"},
      {"steps[].pod.name", "its name; either this"},
      {"steps[].pod.selector", "or a label selector that fits one running pod"},
      {"steps[].pod.namespace", "its namespace; without it that of the VM"},
      {"steps[].pod.container", "the container; without it the pod's default or only one"},
      {"steps[].hold",
       "true: the command of quiesce does not end but holds something while it runs, like a lock that dies with its session. It goes on in "
       "the background, is ready when check passes, must be found running after the last cut, and is ended by release. false, the default: "
       "quiesce ends, and what it did lasts"},
      {"steps[].on-error",
       "fail, the default: where quiesce or check fails, nothing is frozen and no snapshot taken, and a release that fails is an error. "
       "continue: go on; the snapshot's level is then not application"},
      {"steps[].quiesce", "what is done before the freeze"},
      {"steps[].check", "whether it is in force: asked after quiesce and, once, after the last cut. Exit code 0 is yes. Needed with hold"},
      {"steps[].release",
       "what lets go, after the thaw. It is run on every path: when all went well, after a failure (of its own quiesce, too), after a "
       "signal. So it must do no harm where there is nothing to let go, and none when it is run twice. Needed with hold"},
      {"steps[].*.command",
       "program and arguments, as a list of texts; there is no shell. The program is a path, or a name that is looked up in PATH where it "
       "runs. Whatever stands here may be seen in server logs and process lists: no passwords"},
      {"steps[].*.env", "variables for the command, as a map. Not in a pod, where a command has no environment of its own"},
      {"steps[].*.env-from",
       "a list of variables of your own environment that the command gets, for passwords: the recipe names them and never holds them. They "
       "stand in no URL and no log of ours. Not in a pod"},
      {"steps[].*.stdin-from", "the variable of your own environment that is the command's standard input. Not for local steps"},
      {"steps[].*.timeout",
       "how long it may take, with a unit: 30s. Default 30s for quiesce (with hold: until its check passes), 10s for one check, 60s for "
       "release; at most 1h"},
      {"steps[].check.retries", "further tries, up to 1000. Default 0; with hold as many as the timeout of quiesce allows"},
      {"steps[].check.interval", "the pause between two tries, 100ms to 10m; default 1s"},
  };
  return texts;
}

const std::vector<RecipeExample>& recipe_examples() {
  static const std::vector<RecipeExample> examples = {
      {"MySQL in the guest: a read lock that is held while the snapshot is taken, by a session that ends by itself after ten minutes "
       "should this program be killed. The password comes from the environment, as MYSQL_PWD",
       R"yaml(apiVersion: vmbackup/v1
kind: Recipe
steps:
- name: lock-tables
  in: guest
  hold: true
  quiesce:
    command:
    - /usr/bin/mysql
    - --user=backup
    - --execute=FLUSH TABLES WITH READ LOCK; DO GET_LOCK('vmbackup', 10); DO SLEEP(600)
    env-from: [MYSQL_PWD]
    timeout: 60s
  check:
    command:
    - /bin/sh
    - -c
    - mysql --user=backup -N -e "SELECT IS_USED_LOCK('vmbackup') IS NOT NULL" | grep -qx 1
    env-from: [MYSQL_PWD]
    interval: 500ms
  release:
    command:
    - /bin/sh
    - -c
    - |
      id=$(mysql --user=backup -N -e "SELECT IFNULL(IS_USED_LOCK('vmbackup'), 0)") || exit 1
      test "$id" = 0 || mysql --user=backup -e "KILL $id"
    env-from: [MYSQL_PWD]
)yaml"},
      {"PostgreSQL in the guest, a connection pool in a pod, a log on this machine. The pool is stopped first and goes on last, so that no "
       "transaction is under way; the checkpoint makes the recovery of a restored copy short",
       R"yaml(apiVersion: vmbackup/v1
kind: Recipe
steps:
- name: log
  in: local
  on-error: continue
  quiesce:
    command: [logger, --tag=vmbackup, quiescing the shop]
  release:
    command: [logger, --tag=vmbackup, the shop goes on]
- name: pause-pool
  in: pod
  pod:
    selector: app=pgbouncer
    container: pgbouncer
  quiesce:
    command: [psql, --host=127.0.0.1, --port=6432, --username=pgbouncer, --command=PAUSE, pgbouncer]
    timeout: 20s
  release:
    command: [psql, --host=127.0.0.1, --port=6432, --username=pgbouncer, --command=RESUME, pgbouncer]
- name: checkpoint
  in: guest
  quiesce:
    command: [/usr/bin/psql, --username=backup, --host=127.0.0.1, --command=CHECKPOINT, postgres]
    env-from: [PGPASSWORD]
    timeout: 5m
  check:
    command: [/usr/bin/pg_isready, --quiet, --host=127.0.0.1]
    retries: 3
    interval: 1s
)yaml"},
  };
  return examples;
}

}  // namespace vmbackup::cli
