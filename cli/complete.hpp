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
// Names that only a look at the cluster or the kubeconfig can tell.
struct WantedNames {
  Names kind = Names::none;
  std::string before;              // stands before each name: "vm/", "--namespace="
  std::string typed;               // what the name begins with
  std::vector<std::string> taken;  // arguments that stand there already
  CommonOptions options;           // the connection, as far as the words say
};
struct Completion {
  std::vector<Candidate> candidates;
  bool files = false;  // a file name is wanted: the shell completes it
  WantedNames names{};
};

// `words`: those before the one to complete, without the program. `last`: what is typed of that one, may be empty. Candidates begin with
// it.
Completion complete(const std::vector<Command>& commands, std::vector<std::string> words, const std::string& last);

// Adds those of `names` that fit. Names of a cluster are untrusted: what no object can be called is left out; and of a kubeconfig what a
// shell would not take as a plain word.
void add_names(Completion& completion, const std::vector<std::string>& names);

// One candidate per line, "word<TAB>help", then ":4" (no files) or ":0": the protocol of kubectl's plugin completion.
std::string completion_text(const Completion& completion);

}  // namespace vmbackup::cli
