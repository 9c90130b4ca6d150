#include "cli/docs.hpp"
#include "backup/level.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/text.hpp"
#include "cli/commands/all.hpp"
#include "cli/help.hpp"
#include "cli/page.hpp"
#include "cli/parse.hpp"
#include "cli/topics.hpp"

using namespace vmbackup;

namespace {

// The words of an example, up to what the shell does with the output.
std::vector<std::string> example_words(const std::string& line) {
  std::vector<std::string> words(1);
  for (const char c : line) {
    if (c == '>' || c == '|') break;
    if (c != ' ') {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

}  // namespace

TEST_CASE("every command says what it is") {
  std::vector<std::string> names;
  for (const cli::Command& command : cli::all_commands()) {
    CAPTURE(command.name);
    CHECK(std::find(names.begin(), names.end(), command.name) == names.end());
    names.push_back(command.name);
    CHECK_FALSE(command.summary.empty());
    CHECK(command.summary.back() != '.');
    CHECK((command.bind || command.raw_run));
    if (command.hidden) continue;
    CHECK_FALSE(command.examples.empty());
    CHECK(command.exit_codes.front() == cli::ExitCode::done);
  }
}

TEST_CASE("what has a man page and is no command is told by help, in lines that fit, and names no man page") {
  REQUIRE(cli::topics().size() == 5);
  const std::vector<cli::Command> commands = cli::all_commands();
  const std::string all = cli::overview(commands, "kubectl vmbackup");
  for (const cli::Topic& topic : cli::topics()) {
    CAPTURE(topic.name);
    CHECK(cli::find_command(commands, topic.name) == nullptr);
    CHECK(cli::find_topic(topic.name) == &topic);
    CHECK(all.find(std::string("\n  ") + topic.name + ' ') != std::string::npos);
    const std::string text = cli::topic_help(topic, "kubectl vmbackup");
    CHECK(text.find("kubectl-vmbackup-") == std::string::npos);
    // Text that stands as it is comes last; a tag alone may be a whole query.
    for (const std::string& line : base::split(text.substr(0, text.find("\nExamples:")), '\n')) {
      CHECK((line.size() <= 100 || line.find("  ", 2) == std::string::npos));
    }
  }
  CHECK(cli::find_topic("level") == nullptr);
  CHECK(cli::with_help_for_pages("see kubectl-vmbackup-exit-codes(7), kubectl-vmbackup(1) and kubectl-vmbackup-levels", "x") ==
        "see x help exit-codes, x help and kubectl-vmbackup-levels");
  for (const cli::Command& command : commands) {
    if (command.hidden) continue;
    CAPTURE(command.name);
    const std::string text = cli::command_help(command, "kubectl vmbackup");
    CHECK(text.find("(7)") == std::string::npos);
    CHECK(text.find("(5)") == std::string::npos);
  }
}

TEST_CASE("every flag has a help text and no name or letter twice") {
  for (const cli::Command& command : cli::all_commands()) {
    cli::Flags flags;
    cli::CommonOptions common;
    const cli::Run run = cli::bind_all(command, flags, common);
    std::vector<std::string> seen;
    for (const cli::Flag& flag : flags.flags()) {
      CAPTURE(command.name + " --" + flag.name);
      CHECK_FALSE(flag.help.empty());
      CHECK(flag.help.back() != '.');
      CHECK((flag.set != nullptr));
      for (const std::string& name : {flag.name, std::string(1, flag.letter)}) {
        if (name == std::string(1, '\0')) continue;
        CHECK(std::find(seen.begin(), seen.end(), name) == seen.end());
        seen.push_back(name);
      }
    }
  }
}

TEST_CASE("every example parses") {
  for (const cli::Command& command : cli::all_commands()) {
    for (const cli::Example& example : command.examples) {
      CAPTURE(example.line);
      cli::Flags flags;
      cli::CommonOptions common;
      const cli::Run run = cli::bind_all(command, flags, common);
      cli::Words words = cli::split_words(example_words(example.line));
      CHECK(cli::take_command(words.before, flags) == command.name);
      base::Result<cli::Given> given = cli::parse(words.before, flags);
      REQUIRE(given.ok());
      given->rest = words.after;
      const base::Result<void> applied = flags.apply(*given);
      CHECK_MESSAGE(applied.ok(), (applied ? "" : applied.error().message()));
    }
  }
}

TEST_CASE("help says it plainly") {
  const std::vector<cli::Command> commands = cli::all_commands();
  const std::string help = cli::command_help(*cli::find_command(commands, "snapshot"), "kubectl vmbackup");
  CHECK(help.find("Usage:\n  kubectl vmbackup snapshot [VM...] [flags]\n") != std::string::npos);
  CHECK(help.find("A word of KubeVirt's is never enough") != std::string::npos);
  CHECK(help.find("--dry-run[=HOW]") != std::string::npos);
  const std::string overview = cli::overview(commands, "kubectl-vmbackup");
  CHECK(overview.find("  snapshot     Take snapshots") != std::string::npos);
  CHECK(overview.find("generate") == std::string::npos);
}

TEST_CASE("man pages") {
  std::vector<std::string> names;
  for (const cli::TextFile& page : cli::man_pages(cli::all_commands())) {
    CAPTURE(page.first);
    names.push_back(page.first);
    CHECK(page.second.rfind(".\\\" Generated, do not edit.\n.TH \"KUBECTL\\-VMBACKUP", 0) == 0);
    CHECK(page.second.find("\n.SH NAME\n") != std::string::npos);
    CHECK(page.second.back() == '\n');
  }
  // One for the program, one for each command that help shows, in its order, and those that are about all of them.
  std::vector<std::string> expected = {"kubectl-vmbackup.1"};
  for (const cli::Command& command : cli::all_commands()) {
    if (!command.hidden) expected.push_back("kubectl-vmbackup-" + command.name + ".1");
  }
  for (const char* page : {"levels.7", "recipe.5", "metrics.7", "json.7", "exit-codes.7"})
    expected.push_back(std::string("kubectl-vmbackup-") + page);
  CHECK(expected.size() > 10);
  CHECK(names == expected);
}

TEST_CASE("a command's page leads to its neighbours in help, and to no hidden one") {
  const auto links_of = [](const std::string& name) {
    for (const cli::TextFile& page : cli::man_pages(cli::all_commands())) {
      if (page.first == name) return page.second.substr(page.second.find("\n.SH \"SEE ALSO\"\n"));
    }
    return std::string();
  };
  const std::string freeze = links_of("kubectl-vmbackup-freeze.1");
  CHECK(freeze.find(".BR kubectl\\-vmbackup\\-thaw (1)") != std::string::npos);
  CHECK(freeze.find("freeze (1)") == std::string::npos);
  CHECK(links_of("kubectl-vmbackup-forget.1").find(".BR kubectl\\-vmbackup\\-delete (1)") != std::string::npos);
  CHECK(links_of("kubectl-vmbackup-version.1").find("generate") == std::string::npos);
}

TEST_CASE("the page on levels explains each level there is, strong to weak") {
  const std::vector<cli::TextFile> pages = cli::man_pages(cli::all_commands());
  const auto page =
      std::find_if(pages.begin(), pages.end(), [](const cli::TextFile& each) { return each.first == "kubectl-vmbackup-levels.7"; });
  REQUIRE(page != pages.end());
  std::string text = page->second;
  text.erase(std::remove(text.begin(), text.end(), '\\'), text.end());  // "per\-disk"
  std::size_t at = 0;
  for (const backup::Level level : backup::all_levels()) {
    CAPTURE(std::string(to_string(level)));
    at = text.find(std::string(".TP\n.B ") + to_string(level) + "\n", at);
    REQUIRE(at != std::string::npos);
  }
}

TEST_CASE("a completion for every shell that the command offers") {
  for (const char* shell : {"bash", "zsh", "fish", "kubectl"}) CHECK(cli::completion_script(shell).find("__complete") != std::string::npos);
  CHECK(cli::completion_script("ksh").empty());
  CHECK(cli::completion_files().size() == 4);
}
