#include "cli/complete.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "cli/commands/all.hpp"

using namespace vmbackup;

namespace {

std::vector<std::string> words(std::vector<std::string> before, const std::string& last) {
  std::vector<std::string> found;
  for (const cli::Candidate& candidate : cli::complete(cli::all_commands(), std::move(before), last).candidates) {
    found.push_back(candidate.word);
  }
  return found;
}

bool has(const std::vector<std::string>& list, const std::string& word) { return std::find(list.begin(), list.end(), word) != list.end(); }

using List = std::vector<std::string>;

}  // namespace

TEST_CASE("commands") {
  CHECK(words({}, "s") == List{"snapshot", "show"});
  CHECK(words({"-n", "prod"}, "de") == List{"delete"});
  CHECK(has(words({}, ""), "help"));
  CHECK_FALSE(has(words({}, ""), "generate"));
  CHECK_FALSE(has(words({}, ""), "__complete"));
  CHECK(words({"nonsense"}, "").empty());
}

TEST_CASE("flags of the command, less those given") {
  CHECK(words({"snapshot"}, "--fail") == List{"--failure-deadline"});
  CHECK(words({"snapshot", "--timeout", "5m"}, "--ti").empty());
  CHECK(words({"snapshot", "-n", "x"}, "--name") == List{"--name"});
  CHECK(has(words({"snapshot"}, "--"), "--namespace"));
  CHECK(words({"list"}, "--fail").empty());
}

TEST_CASE("values") {
  CHECK(words({"snapshot", "-o"}, "") == List{"table", "wide", "json", "yaml", "name"});
  CHECK(words({"snapshot"}, "--wait=c") == List{"--wait=cut"});
  CHECK(words({"snapshot", "--dry-run"}, "").empty());
  CHECK(words({"snapshot"}, "--dry-run=") == List{"--dry-run=client", "--dry-run=server"});
  CHECK(words({"snapshot", "--name"}, "").empty());
  CHECK(words({"--progress"}, "j") == List{"json"});
}

TEST_CASE("fixed arguments") {
  CHECK(words({"completion"}, "") == List{"bash", "zsh", "fish", "kubectl"});
  CHECK(words({"completion", "bash"}, "").empty());
  CHECK(has(words({"help"}, "sn"), "snapshot"));
}

TEST_CASE("a file where a file is wanted, nothing behind --") {
  CHECK(cli::complete(cli::all_commands(), {"list", "--kubeconfig"}, "").files);
  CHECK_FALSE(cli::complete(cli::all_commands(), {"list"}, "").files);
  CHECK(words({"list", "--"}, "--").empty());
}

TEST_CASE("the protocol") {
  cli::Completion completion;
  completion.candidates = {{"a", "the first"}, {"b", ""}};
  CHECK(cli::completion_text(completion) == "a\tthe first\nb\n:4\n");
  completion.files = true;
  completion.candidates.clear();
  CHECK(cli::completion_text(completion) == ":0\n");
}
