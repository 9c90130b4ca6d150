// --recipe and --recipe-from-cluster.
#pragma once

#include <optional>
#include <string>

#include "backup/recipe.hpp"
#include "base/result.hpp"
#include "cli/flags.hpp"

namespace vmbackup::cli {

struct RecipeFlags {
  std::string file;           // "-": standard input
  bool from_cluster = false;  // what the VM's annotation names; looked up per VM (kubevirt::recipe_of)
};

// `target` must outlive the Flags.
void bind_recipe(Flags& flags, RecipeFlags& target);

// The recipe of --recipe; nothing where that was not given. usage: it cannot be read, or is none.
base::Result<std::optional<backup::Recipe>> recipe_of(const RecipeFlags& flags);

}  // namespace vmbackup::cli
