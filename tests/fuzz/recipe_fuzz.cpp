// kubevirt::parse_recipe: any text is a recipe that can be run, or refused with its path; one of the cluster reaches its guest alone.
#include <algorithm>

#include "check.hpp"
#include "kubevirt/recipe.hpp"

using vmbackup::base::Result;
using vmbackup::fuzz::require;

namespace {

namespace kubevirt = vmbackup::kubevirt;

void check_command(const kubevirt::RecipeCommand& command, kubevirt::StepPlace place) {
  require(!command.argv.empty() && !command.argv.front().empty(), "every command names a program");
  require(
      std::none_of(command.argv.begin(), command.argv.end(), [](const std::string& word) { return word.find('\0') != std::string::npos; }),
      "no word is cut by a zero byte");
  require(command.timeout.count() > 0 && command.timeout <= std::chrono::hours(1), "every command has a time");
  require(place != kubevirt::StepPlace::pod || (command.env.empty() && command.env_from.empty()), "a pod gets no environment");
  for (const auto& [name, value] : command.env) {
    require(!name.empty() && name.find('=') == std::string::npos, "a variable has a name");
    require(value.find('\0') == std::string::npos, "no value is cut by a zero byte");
  }
}

void check(const kubevirt::Recipe& recipe, bool cluster) {
  require(!recipe.steps.empty() && recipe.steps.size() <= 32, "a recipe has steps, and not too many");
  for (const kubevirt::RecipeStep& step : recipe.steps) {
    require(!step.name.empty() && step.name.size() <= 63, "a step has a name");
    require(!step.hold || (step.check && step.release), "what holds can be looked at and let go");
    require(step.place != kubevirt::StepPlace::pod || step.pod.name.empty() != step.pod.selector.empty(), "a pod is one or the other");
    require(!cluster || step.place == kubevirt::StepPlace::guest, "the cluster's recipes reach the guest alone");
    std::vector<kubevirt::RecipeCommand> commands = {step.quiesce};
    if (step.check) commands.push_back(step.check->command);
    if (step.release) commands.push_back(*step.release);
    for (const kubevirt::RecipeCommand& command : commands) {
      check_command(command, step.place);
      require(!cluster || (command.env_from.empty() && command.stdin_from.empty()), "the cluster's recipes get nothing of the caller's");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<kubevirt::Recipe> file = kubevirt::parse_recipe(text, kubevirt::RecipeOrigin::file, "recipe");
  const Result<kubevirt::Recipe> cluster = kubevirt::parse_recipe(text, kubevirt::RecipeOrigin::cluster, "recipe");
  require(file.ok() || !cluster.ok(), "what the cluster may say, a file may say");
  for (const Result<kubevirt::Recipe>* recipe : {&file, &cluster}) {
    if (recipe->ok()) {
      check(recipe->value(), recipe == &cluster);
      continue;
    }
    require(recipe->error().code() == vmbackup::base::ErrorCode::invalid, "a refusal is about the text");
    require(recipe->error().message().rfind("recipe: ", 0) == 0 && recipe->error().message().size() > 8, "a refusal says why");
  }
  return 0;
}
