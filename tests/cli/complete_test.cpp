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
  CHECK(words({"freeze"}, "--max") == List{"--max-freeze"});
  CHECK(words({"thaw", "--all"}, "--old") == List{"--older-than"});
  CHECK(words({"forget"}, "--keep-w") == List{"--keep-weekly", "--keep-within"});
}

TEST_CASE("values") {
  CHECK(words({"snapshot", "-o"}, "") == List{"table", "wide", "json", "yaml", "name"});
  CHECK(words({"snapshot"}, "--wait=c") == List{"--wait=cut"});
  CHECK(words({"snapshot", "--dry-run"}, "").empty());
  CHECK(words({"snapshot"}, "--dry-run=") == List{"--dry-run=client", "--dry-run=server"});
  CHECK(words({"snapshot", "--name"}, "").empty());
  CHECK(words({"--progress"}, "j") == List{"json"});
  CHECK(words({"freeze", "--probe"}, "l") == List{"live"});
  CHECK(words({"thaw"}, "--dry-run=") == List{"--dry-run=client"});
  CHECK(words({"forget", "--keep-level"}, "c") == List{"crash"});
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

TEST_CASE("which names are wanted, and where") {
  const auto wanted = [](std::vector<std::string> before, const std::string& last) {
    return cli::complete(cli::all_commands(), std::move(before), last).names;
  };
  CHECK(wanted({"snapshot"}, "d").kind == cli::Names::virtual_machine);
  CHECK(wanted({"snapshot"}, "vm/d").before == "vm/");
  CHECK(wanted({"snapshot"}, "vm/d").typed == "d");
  CHECK(wanted({"snapshot"}, "vmsnapshot/d").kind == cli::Names::none);
  CHECK(wanted({"snapshot", "db-0"}, "").taken == List{"db-0"});
  CHECK(wanted({"delete", "a"}, "").kind == cli::Names::snapshot);
  CHECK(wanted({"delete", "vmsnapshot/a"}, "").taken == List{"vmsnapshot/a"});
  CHECK(wanted({"list", "-n"}, "p").kind == cli::Names::ns);
  CHECK(wanted({"-n"}, "p").kind == cli::Names::ns);
  CHECK(wanted({"list"}, "--context=p").before == "--context=");
  CHECK(wanted({"list", "--user"}, "").kind == cli::Names::user);
  CHECK(wanted({"freeze", "--all", "--exclude"}, "d").kind == cli::Names::virtual_machine);
  CHECK(wanted({"thaw", "db-0"}, "").taken == List{"db-0"});
  CHECK(wanted({"forget", "--keep-last", "1"}, "").kind == cli::Names::virtual_machine);
  const cli::WantedNames there = wanted({"-n", "prod", "show", "--context", "east", "-s", "https://h"}, "");
  CHECK(there.options.ns == "prod");
  CHECK(there.options.context == "east");
  CHECK(there.options.connection.server == "https://h");
  // What cannot be understood could mean another cluster.
  CHECK(wanted({"show", "--contxt", "east"}, "").kind == cli::Names::none);
  CHECK(wanted({"show", "-n", "NOT A NAME"}, "").kind == cli::Names::none);
}

TEST_CASE("names that nothing can be called are not offered") {
  cli::Completion completion;
  completion.names = {.kind = cli::Names::virtual_machine, .before = "vm/", .typed = "d", .taken = {"db-1", "vm/db-2"}, .options = {}};
  cli::add_names(completion, {"db-0", "db-1", "db-2", "web-0", "d$(reboot)", "d\nx", "d\x1b[2J", "d b", "d\tx", ""});
  REQUIRE(completion.candidates.size() == 1);
  CHECK(completion.candidates[0].word == "vm/db-0");
  completion.candidates.clear();
  completion.names = {.kind = cli::Names::context, .before = "", .typed = "", .taken = {}, .options = {}};
  cli::add_names(completion, {"arn:aws:eks:x/y", "a b", "`id`", "$(id)", "a;b", "-x", "jane@east"});
  REQUIRE(completion.candidates.size() == 2);
  CHECK(completion.candidates[1].word == "jane@east");
}

TEST_CASE("the protocol") {
  cli::Completion completion;
  completion.candidates = {{"a", "the first"}, {"b", ""}};
  CHECK(cli::completion_text(completion) == "a\tthe first\nb\n:4\n");
  completion.files = true;
  completion.candidates.clear();
  CHECK(cli::completion_text(completion) == ":0\n");
}
