#include "cli/flags.hpp"

#include <doctest/doctest.h>

#include "cli/parse.hpp"

using namespace vmbackup;
using cli::Flags;

namespace {

struct Target {
  cli::CommonOptions common;
  std::vector<std::string> arguments;
  std::string name;
  std::optional<base::Duration> failure_deadline;
  base::Duration timeout = std::chrono::minutes(30);
  cli::DryRun dry_run = cli::DryRun::none;
  cli::OutputFormat output = cli::OutputFormat::table;
  bool yes = false;
  bool everywhere = false;
};

Flags flags_for(Target& target) {
  Flags flags;
  cli::bind_common(flags, target.common);
  flags.add(cli::Argument{.name = "THING", .many = true, .add = [&target](const std::string& text) -> base::Result<void> {
                            target.arguments.push_back(text);
                            return {};
                          }});
  flags.add(cli::Flag{.name = "name", .metavar = "NAME", .set = cli::text_into(target.name)});
  cli::bind_failure_deadline(flags, target.failure_deadline);
  cli::bind_timeout(flags, target.timeout);
  cli::bind_dry_run(flags, target.dry_run, true);
  cli::bind_output(flags, target.output, {cli::OutputFormat::table, cli::OutputFormat::json});
  cli::bind_yes(flags, target.yes);
  cli::bind_all_namespaces(flags, target.everywhere);
  return flags;
}

// The message and hint of the refusal, or "" when the words are good.
std::string refusal(const std::vector<std::string>& words, Target& target) {
  const Flags flags = flags_for(target);
  const base::Result<cli::Given> given = cli::parse(words, flags);
  const base::Result<void> applied = given ? flags.apply(*given) : base::Result<void>(given.error());
  if (applied) return "";
  CHECK(applied.error().code() == base::ErrorCode::usage);
  return applied.error().message() + (applied.error().hint().empty() ? "" : " | " + applied.error().hint());
}

std::string refusal(const std::vector<std::string>& words) {
  Target target;
  return refusal(words, target);
}

}  // namespace

TEST_CASE("values in all spellings") {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"x", "-n", "prod"},
                                                                                     {"x", "-nprod"},
                                                                                     {"x", "-n=prod"},
                                                                                     {"--namespace", "prod", "x"},
                                                                                     {"--namespace=prod", "x"},
                                                                                     {"-vn", "prod", "x"}}) {
    Target target;
    CAPTURE(words[1]);
    CHECK(refusal(words, target) == "");
    CHECK(target.common.ns == "prod");
    CHECK(target.arguments == std::vector<std::string>{"x"});
  }
}

TEST_CASE("an empty value takes no other word for its own") {
  Target target;
  CHECK(refusal({"--name=", "x"}, target) == "--name was given an empty value | is a shell variable unset?");
  CHECK(refusal({"--dry-run=", "x"}) == "--dry-run was given an empty value");
  // As kubectl reads them: not given.
  Target empty;
  CHECK(refusal({"--namespace=", "x"}, empty) == "");
  CHECK(empty.common.ns.empty());
  CHECK(empty.arguments == std::vector<std::string>{"x"});
}

TEST_CASE("an optional value binds only with an equals sign") {
  Target bare;
  CHECK(refusal({"--dry-run", "server"}, bare) == "");
  CHECK(bare.dry_run == cli::DryRun::client);
  CHECK(bare.arguments == std::vector<std::string>{"server"});
  Target bound;
  CHECK(refusal({"--dry-run=server", "x"}, bound) == "");
  CHECK(bound.dry_run == cli::DryRun::server);
  CHECK(refusal({"--dry-run=yes", "x"}) == "invalid value \"yes\" for --dry-run: it must be one of client, server");
}

TEST_CASE("switches can be set to false") {
  Target target;
  target.yes = true;
  CHECK(refusal({"--yes=false", "x"}, target) == "");
  CHECK_FALSE(target.yes);
  CHECK(refusal({"--yes=maybe", "x"}) == "invalid value \"maybe\" for --yes: it must be one of true, false");
}

TEST_CASE("a flag twice, unknown flags, missing values, arguments") {
  CHECK(refusal({"--yes", "-y", "x"}) == "--yes was given more than once");
  CHECK(refusal({"--name", "a", "--name=b", "x"}) == "--name was given more than once");
  Target verbose;
  CHECK(refusal({"-v", "-vv", "x"}, verbose) == "");
  CHECK(verbose.common.verbosity == 3);
  CHECK(refusal({"x", "--tiemout", "5m"}) == "unknown flag --tiemout | did you mean --timeout?");
  CHECK(refusal({"x", "--bogus=1"}) == "unknown flag --bogus");
  CHECK(refusal({"x", "-z"}) == "unknown flag -z");
  CHECK(refusal({"x", "--name"}) == "flag --name wants a value");
  CHECK(refusal({"--yes"}) == "the argument THING is missing");
  CHECK(refusal({""}) == "THING was given an empty value | is a shell variable unset?");
  CHECK(refusal({"x", "-A", "-n", "prod"}) == "--all-namespaces and --namespace exclude each other");
}

TEST_CASE("choices") {
  CHECK(refusal({"x", "-o", "jsn"}) == "invalid value \"jsn\" for --output: it must be one of table, json | did you mean \"json\"?");
  CHECK(refusal({"x", "-o", "\x1b[31m"}) == "invalid value \"\\x1b[31m\" for --output: it must be one of table, json");
}

TEST_CASE("durations") {
  CHECK(refusal({"x", "--failure-deadline", "300"}) ==
        "invalid value \"300\" for --failure-deadline: a duration needs a unit | write 300s for seconds, or 300m for minutes");
  CHECK(refusal({"x", "--failure-deadline", "0"}).find("switch off KubeVirt's deadline") != std::string::npos);
  CHECK(refusal({"x", "--failure-deadline=0s"}).find("switch off KubeVirt's deadline") != std::string::npos);
  CHECK(refusal({"x", "--failure-deadline", "-5m"}) == "invalid value \"-5m\" for --failure-deadline: a duration here cannot be negative");
  CHECK(refusal({"x", "--failure-deadline", "500ms"}).find("counts whole seconds") != std::string::npos);
  CHECK(refusal({"x", "--timeout", "300"}).find("a duration needs a unit") != std::string::npos);
  CHECK(refusal({"x", "--timeout", "0"}).find("cannot succeed") != std::string::npos);
  CHECK(refusal({"x", "--timeout", "soon"}) ==
        "invalid value \"soon\" for --timeout: not a duration | write a number with a unit: 90s, 5m, 1h30m");
  Target target;
  CHECK(refusal({"x", "--failure-deadline", "1h30m", "--timeout=90s"}, target) == "");
  CHECK(target.failure_deadline == std::chrono::minutes(90));
  CHECK(target.timeout == std::chrono::seconds(90));
}

TEST_CASE("the command is the first word that is no flag and no value of one") {
  Target target;
  Flags flags;
  cli::bind_common(flags, target.common);
  std::vector<std::string> words = {"-v", "-n", "prod", "--context=c", "list", "show", "--foo"};
  CHECK(cli::take_command(words, flags) == "list");
  CHECK(words == std::vector<std::string>{"-v", "-n", "prod", "--context=c", "show", "--foo"});
  std::vector<std::string> none = {"--help", "-n", "list"};
  CHECK(cli::take_command(none, flags).empty());
}

TEST_CASE("words are cut at the first --") {
  const cli::Words words = cli::split_words({"a", "--", "b", "--", "c"});
  CHECK(words.before == std::vector<std::string>{"a"});
  REQUIRE(words.after.has_value());
  CHECK(*words.after == std::vector<std::string>{"b", "--", "c"});
  CHECK_FALSE(cli::split_words({"a"}).after.has_value());
}
