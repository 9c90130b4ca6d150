// What the steps of a recipe came to, as JSON and as text; and what a recipe may say, for kubectl-vmbackup-recipe(5).
#pragma once

#include <string>
#include <vector>

#include "backup/recipe.hpp"
#include "cli/view.hpp"
#include "json/value.hpp"

namespace vmbackup::cli {

// The list `steps` of an item.
json::Value steps_value(const std::vector<backup::StepReport>& steps);
const std::vector<FieldText>& step_field_texts();
// One line per step with a line feed each: "recipe step lock-tables, in the guest: ready, held, released". Empty for none.
std::string steps_text(const std::vector<backup::StepReport>& steps);

// The members of a recipe by their paths, in the order in which they are explained.
const std::vector<FieldText>& recipe_field_texts();
struct RecipeExample {
  const char* comment;
  const char* text;  // a whole recipe
};
const std::vector<RecipeExample>& recipe_examples();

}  // namespace vmbackup::cli
