// A recipe: the steps that quiesce the applications of one VM around its cut. YAML of the user's, decoded strictly.
//
//   apiVersion: vmbackup/v1
//   kind: Recipe
//   steps:                            # quiesced in this order, released in the reverse one; 1 to 32
//   - name: lock-tables               # lower case letters, digits and "-", no name twice
//     in: guest                       # guest, pod or local (this machine)
//     pod:                            # for `in: pod`, and only there
//       name: proxy-0                 #   either name or
//       selector: app=proxy           #   selector, which must fit one running pod
//       namespace: prod               #   default: the VM's
//       container: app                #   default: the pod's only one
//     hold: true                      # default false: quiesce ends. true: it goes on in the background until release ends it, is ready
//                                     #   when check passes, and must be found running after the last cut
//     on-error: fail                  # default. fail: no snapshot is taken, and a release that fails is an error; continue: go on, weaker
//     quiesce:                        # what is done before the freeze
//       command: [/usr/bin/mysql]     #   program and arguments, no shell; the program's path, or a name that is looked up in PATH
//       env: {LANG: C}                #   not in a pod, where a command has no environment of its own
//       env-from: [MYSQL_PWD]         #   variables of the caller's environment to pass on: for secrets. Not in a pod
//       stdin-from: SQL               #   the variable of the caller's environment that is the standard input. Not for local steps
//       timeout: 30s                  #   default 30s; with `hold`, the time until check passes
//     check:                          # whether it is in force, asked after quiesce and after the last cut; required with `hold`
//       command: [/usr/bin/test]      #   exit code 0: it is. env, env-from, stdin-from as above
//       timeout: 10s                  #   of one try; default 10s
//       retries: 3                    #   further tries; default 0, with `hold` as many as quiesce.timeout allows; at most 1000
//       interval: 1s                  #   between two tries; default 1s
//     release:                        # lets go; required with `hold`, whose command it has to end. Run on every path, also after a failed
//       command: [/usr/bin/mysql]     #   quiesce, so it must do no harm where there is nothing to let go, or when it is run twice
//       timeout: 60s                  #   default 60s
//
// Each timeout is above 0 and at most 1h, each interval 100ms to 10m. There are no other members; durations are text with a unit.
#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/duration.hpp"
#include "base/result.hpp"
#include "json/value.hpp"
#include "kube/client.hpp"
#include "kubevirt/virtual_machine.hpp"

namespace vmbackup::kubevirt {

inline constexpr std::size_t k_most_recipe_bytes = std::size_t{64} << 10;
// On a VM: the ConfigMap of its namespace that holds its recipe, under the key.
inline constexpr const char* k_recipe_annotation = "kubectl-vmbackup/recipe";
inline constexpr const char* k_recipe_key = "recipe.yaml";

enum class StepPlace { guest, pod, local };
const char* to_string(StepPlace place);  // "guest", "pod", "local"

struct RecipeCommand {
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<std::string> env_from;
  std::string stdin_from;  // empty: none
  base::Duration timeout{};
};

struct RecipeCheck {
  RecipeCommand command;
  std::optional<int> retries;  // none: as many as the quiesce's timeout allows (hold), else none
  base::Duration interval{};
};

struct RecipePod {
  std::string ns;  // empty: the VM's
  std::string name;
  std::string selector;
  std::string container;
};

struct RecipeStep {
  std::string name;
  StepPlace place = StepPlace::guest;
  RecipePod pod;
  bool hold = false;
  bool may_fail = false;  // on-error: continue
  RecipeCommand quiesce;
  std::optional<RecipeCheck> check;
  std::optional<RecipeCommand> release;
};

struct Recipe {
  std::vector<RecipeStep> steps;
  bool any(StepPlace place) const;
};

// Who wrote it. What the cluster holds may name steps in the guest of its own VM alone, and nothing of the caller's environment: else
// whoever may write a ConfigMap could run programs here, in any pod, or read secrets.
enum class RecipeOrigin { file, cluster };

// invalid: it is no recipe; the message begins with the path of what is wrong ("steps[1].check.command: ...").
base::Result<Recipe> decode_recipe(const json::Value& document, RecipeOrigin origin);
// The same from YAML (or JSON) text. `what` names it in errors: "recipe mysql.yaml".
base::Result<Recipe> parse_recipe(std::string_view text, RecipeOrigin origin, const std::string& what);

// The same from a file of the caller's, "-" for standard input. not_found, invalid: it cannot be read, and why.
base::Result<Recipe> load_recipe(const std::string& path);

// The recipe that the VM's annotation names; nothing: it has none. not_found: there is no such ConfigMap, or not the key in it; invalid as
// above, also where the annotation is no name; else as kube::Client::get.
base::Result<std::optional<Recipe>> recipe_of(kube::Client& client, const VirtualMachine& vm, const kube::Call& call,
                                              const std::stop_token& stop);

// The one running pod that a step means, with its container filled in. not_found: none fits; precondition: several do, or the pod has
// several containers and neither the step nor the pod's annotation kubectl.kubernetes.io/default-container chooses one. Else as
// kube::Client::list and get.
base::Result<RecipePod> find_recipe_pod(kube::Client& client, const RecipePod& wanted, const std::string& vm_ns, const kube::Call& call,
                                        const std::stop_token& stop);

}  // namespace vmbackup::kubevirt
