// What may stand at the place where the user pressed Tab. The shells ask the program; their files are thin.
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"

namespace vmbackup::cli {

struct Candidate {
  std::string word;
  std::string help;  // may be empty
};
struct Completion {
  std::vector<Candidate> candidates;
  bool files = false;  // a file name is wanted: the shell completes it
};

// `words`: those before the one to complete, without the program. `last`: what is typed of that one, may be empty. Candidates begin with
// it.
Completion complete(const std::vector<Command>& commands, std::vector<std::string> words, const std::string& last);

// One candidate per line, "word<TAB>help", then ":4" (no files) or ":0": the protocol of kubectl's plugin completion.
std::string completion_text(const Completion& completion);

}  // namespace vmbackup::cli
