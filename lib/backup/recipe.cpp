#include "backup/recipe.hpp"

namespace vmbackup::backup {
namespace {

base::Result<Recipe> as_usage(base::Result<Recipe> recipe) {
  if (!recipe) return recipe.error().with_code(base::ErrorCode::usage);
  return recipe;
}

}  // namespace

base::Result<Recipe> load_recipe(const std::string& path) { return as_usage(kubevirt::load_recipe(path)); }

base::Result<Recipe> read_recipe(std::string_view text, const std::string& what) {
  return as_usage(kubevirt::parse_recipe(text, kubevirt::RecipeOrigin::file, what));
}

}  // namespace vmbackup::backup
