// Recipes and what came of them, for the layers above: the schema is in kubevirt/recipe.hpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/result.hpp"
#include "kubevirt/recipe.hpp"

namespace vmbackup::backup {

using kubevirt::Recipe;

// From a file of the caller's, "-" for standard input. Errors as kubevirt::load_recipe, all with code usage: nothing was sent.
base::Result<Recipe> load_recipe(const std::string& path);
// The same from its text. `what` names it in errors: "recipe mysql.yaml".
base::Result<Recipe> read_recipe(std::string_view text, const std::string& what);

// One command of a step, as it went. What it said is never in here.
struct StepActionReport {
  std::string action;            // "quiesce", "check" (the last try before the freeze), "held" (after the cut) or "release"
  std::optional<int> exit_code;  // none: it was not started, did not end, or its end is not known
  std::size_t output_bytes = 0;  // of both outputs
  int tries = 0;
  double seconds = 0;  // over all tries, with the pauses between
  std::optional<base::Error> error;
};

struct StepReport {
  std::string name;
  std::string place;  // "guest", "pod" or "local"
  std::string where;  // "the guest", "pod web/proxy-0", "this machine"
  bool hold = false;
  std::vector<StepActionReport> actions;  // in the order of time
};

// For the evidence, on our steady clock. See kubevirt::StepSeen.
struct StepFact {
  std::string name;
  std::optional<base::TimePoint> ready;
  std::optional<base::TimePoint> held;
};

}  // namespace vmbackup::backup
