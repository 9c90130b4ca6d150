#include "cli/exit_code.hpp"

#include <doctest/doctest.h>

using namespace vmbackup;
using base::Error;
using base::ErrorCode;
using cli::ExitCode;

namespace {

backup::SnapshotItem done_item(bool complete = true) {
  backup::SnapshotItem item;
  item.uid.push_back('u');
  item.outcome = backup::Outcome::done;
  item.complete = complete;
  return item;
}

backup::SnapshotItem failed_item(ErrorCode code, const std::string& uid = "") {
  backup::SnapshotItem item;
  item.uid = uid;
  item.error = Error(code, "it went wrong");
  return item;
}

}  // namespace

TEST_CASE("an error's code decides the exit code") {
  CHECK(cli::exit_code_of(Error(ErrorCode::usage, "x"), 0) == ExitCode::usage);
  CHECK(cli::exit_code_of(Error(ErrorCode::timeout, "x"), 0) == ExitCode::deadline);
  CHECK(cli::exit_code_of(Error(ErrorCode::conflict, "x"), 0) == ExitCode::busy);
  CHECK(cli::exit_code_of(Error(ErrorCode::cancelled, "x"), 2) == ExitCode::interrupted);
  CHECK(cli::exit_code_of(Error(ErrorCode::cancelled, "x"), 15) == ExitCode::terminated);
  CHECK(cli::exit_code_of(Error(ErrorCode::cancelled, "x"), 1) == ExitCode::hung_up);
  CHECK(cli::exit_code_of(Error(ErrorCode::cancelled, "x"), 0) == ExitCode::failed);
  for (const ErrorCode code : {ErrorCode::invalid, ErrorCode::not_found, ErrorCode::already_exists, ErrorCode::unauthenticated,
                               ErrorCode::forbidden, ErrorCode::precondition, ErrorCode::unavailable, ErrorCode::internal}) {
    CAPTURE(base::to_string(code));
    CHECK(cli::exit_code_of(Error(code, "x"), 2) == ExitCode::failed);
  }
}

TEST_CASE("one snapshot") {
  CHECK(cli::exit_code_of(done_item(), {}) == ExitCode::done);
  CHECK(cli::exit_code_of(done_item(false), {}) == ExitCode::weaker);
  CHECK(cli::exit_code_of(done_item(false), {.allow_partial = true}) == ExitCode::done);
  CHECK(cli::exit_code_of(done_item(false), {.judge_complete = false}) == ExitCode::done);
  CHECK(cli::exit_code_of(failed_item(ErrorCode::conflict), {}) == ExitCode::busy);
  // It exists, so what is in the way is an object that took its place.
  CHECK(cli::exit_code_of(failed_item(ErrorCode::cancelled, "u"), {.signal = 15}) == ExitCode::terminated);
  backup::SnapshotItem failed;
  CHECK(cli::exit_code_of(failed, {}) == ExitCode::failed);
  backup::SnapshotItem planned = done_item(false);
  planned.outcome = backup::Outcome::planned;
  CHECK(cli::exit_code_of(planned, {}) == ExitCode::weaker);
}

TEST_CASE("a signal that cut nothing short does not count") {
  const backup::SnapshotReport report{.run = {}, .dry_run = false, .start_time = {}, .completion_time = {}, .items = {done_item()}};
  CHECK(cli::exit_code_of(report, {.signal = 2}) == ExitCode::done);
}

TEST_CASE("several items") {
  using Codes = std::vector<ExitCode>;
  CHECK(cli::combine({}) == ExitCode::done);
  CHECK(cli::combine(Codes{ExitCode::busy, ExitCode::busy}) == ExitCode::busy);
  CHECK(cli::combine(Codes{ExitCode::done, ExitCode::failed}) == ExitCode::mixed);
  CHECK(cli::combine(Codes{ExitCode::weaker, ExitCode::deadline}) == ExitCode::mixed);
  CHECK(cli::combine(Codes{ExitCode::done, ExitCode::weaker}) == ExitCode::weaker);
  CHECK(cli::combine(Codes{ExitCode::busy, ExitCode::deadline}) == ExitCode::deadline);
  CHECK(cli::combine(Codes{ExitCode::deadline, ExitCode::failed}) == ExitCode::failed);
  CHECK(cli::combine(Codes{ExitCode::done, ExitCode::interrupted, ExitCode::failed}) == ExitCode::interrupted);
  CHECK(cli::combine(Codes{ExitCode::interrupted, ExitCode::guest_held}) == ExitCode::guest_held);
}

TEST_CASE("deletions") {
  backup::DeleteReport report;
  report.items.resize(2);
  report.items[0].outcome = backup::Outcome::done;
  report.items[1].outcome = backup::Outcome::skipped;
  CHECK(cli::exit_code_of(report, 0) == ExitCode::done);
  report.items[1].error = Error(ErrorCode::not_found, "no such snapshot");
  CHECK(cli::exit_code_of(report, 0) == ExitCode::mixed);
}

TEST_CASE("every code has its text once") {
  std::vector<int> seen;
  for (const cli::ExitCodeText& text : cli::exit_code_texts()) seen.push_back(static_cast<int>(text.code));
  CHECK(seen == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 129, 130, 143});
}
