// From words to given flags and arguments. The only user of CLI11.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/flags.hpp"

namespace vmbackup::cli {

// argv without the program name, cut at the first "--".
struct Words {
  std::vector<std::string> before;
  std::optional<std::vector<std::string>> after;  // none: there was no "--"
};
Words split_words(std::vector<std::string> words);

// Takes the first word that is no flag and no flag's value out of `words`: the command. `flags` are those that may stand before it.
// Empty when there is none.
std::string take_command(std::vector<std::string>& words, const Flags& flags);

// An unknown flag becomes given.problem, with "did you mean". usage: the value of the last flag is missing.
base::Result<Given> parse(const std::vector<std::string>& words, const Flags& flags);

}  // namespace vmbackup::cli
