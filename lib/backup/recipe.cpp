#include "backup/recipe.hpp"

namespace vmbackup::backup {

base::Result<Recipe> read_recipe(std::string_view text, const std::string& what) {
  return kubevirt::parse_recipe(text, kubevirt::RecipeOrigin::file, what);
}

}  // namespace vmbackup::backup
