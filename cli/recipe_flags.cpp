#include "cli/recipe_flags.hpp"

namespace vmbackup::cli {

void bind_recipe(Flags& flags, RecipeFlags& target) {
  flags.add(Flag{.name = "recipe",
                 .metavar = "FILE",
                 .help = "quiesce the applications by the steps in this file, before the freeze, and release them after the thaw; - is "
                         "standard input: kubectl-vmbackup-recipe(5)",
                 .excludes = {"recipe-from-cluster"},
                 .set = text_into(target.file)});
  flags.add(Flag{.name = "recipe-from-cluster",
                 .help = "the same by the ConfigMap that the VM's annotation kubectl-vmbackup/recipe names, which may hold steps in that "
                         "guest alone",
                 .set = switch_into(target.from_cluster)});
}

base::Result<std::optional<backup::Recipe>> recipe_of(const RecipeFlags& flags) {
  if (flags.file.empty()) return std::optional<backup::Recipe>();
  const base::Result<backup::Recipe> recipe = backup::load_recipe(flags.file);
  if (!recipe) return recipe.error();
  return std::optional<backup::Recipe>(*recipe);
}

}  // namespace vmbackup::cli
