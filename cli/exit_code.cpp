#include "cli/exit_code.hpp"

#include <algorithm>
#include <array>

#include "backup/consistency.hpp"

namespace vmbackup::cli {
namespace {

bool is_signal(ExitCode code) { return code == ExitCode::hung_up || code == ExitCode::interrupted || code == ExitCode::terminated; }

bool is_failure(ExitCode code) { return code != ExitCode::done && code != ExitCode::weaker; }

}  // namespace

const std::vector<ExitCodeText>& exit_code_texts() {
  static const std::vector<ExitCodeText> texts = {
      {ExitCode::done, "done, as strong as asked"},
      {ExitCode::failed, "failed"},
      {ExitCode::usage, "wrong usage, or refused before anything was changed"},
      {ExitCode::weaker,
       "done, but weaker than asked: below --require, a disk is missing without --allow-partial, or a guest may not have stood still to "
       "the "
       "end"},
      {ExitCode::mixed, "mixed: some items failed, some did not"},
      {ExitCode::problems, "a check found problems"},
      {ExitCode::deadline, "the deadline passed; the object still exists and is named"},
      {ExitCode::guest_held, "a guest may still be frozen or paused"},
      {ExitCode::busy, "busy: another operation on the VM is under way"},
      {ExitCode::hung_up, "ended by HUP; everything owed was done"},
      {ExitCode::interrupted, "ended by INT (Ctrl-C); everything owed was done"},
      {ExitCode::terminated, "ended by TERM; everything owed was done"},
  };
  return texts;
}

ExitCode exit_code_of(const base::Error& error, int signal) {
  switch (error.code()) {
    case base::ErrorCode::usage:
      return ExitCode::usage;
    case base::ErrorCode::timeout:
      return ExitCode::deadline;
    case base::ErrorCode::conflict:
      return ExitCode::busy;
    case base::ErrorCode::cancelled:
      return signal > 0 ? static_cast<ExitCode>(128 + signal) : ExitCode::failed;
    default:
      return ExitCode::failed;
  }
}

namespace {

bool strong_enough(const backup::SnapshotItem& item, const Judgement& judgement) {
  if (!judgement.require) return true;
  if (judgement.best) return backup::meets(*judgement.best, *judgement.require, false);
  return item.judged && backup::meets(item.judged->verdict.level, *judgement.require, item.judged->evidence);
}

}  // namespace

ExitCode exit_code_of(const backup::SnapshotItem& item, const Judgement& judgement) {
  if (item.freeze && item.freeze->held) return ExitCode::guest_held;
  if (item.error) return exit_code_of(*item.error, judgement.signal);
  if (item.outcome == backup::Outcome::failed) return ExitCode::failed;
  if (item.outcome == backup::Outcome::skipped) return ExitCode::done;
  if (judgement.judge_complete && !item.complete && !judgement.allow_partial) return ExitCode::weaker;
  if (!strong_enough(item, judgement)) return ExitCode::weaker;
  return ExitCode::done;
}

ExitCode exit_code_of(const backup::SnapshotReport& report, const Judgement& judgement) {
  std::vector<ExitCode> codes;
  for (const backup::SnapshotItem& item : report.items) codes.push_back(exit_code_of(item, judgement));
  return combine(codes);
}

ExitCode exit_code_of(const backup::DeleteReport& report, int signal) {
  std::vector<ExitCode> codes;
  for (const backup::DeleteItem& item : report.items) {
    if (item.error) {
      codes.push_back(exit_code_of(*item.error, signal));
    } else {
      codes.push_back(item.outcome == backup::Outcome::failed ? ExitCode::failed : ExitCode::done);
    }
  }
  return combine(codes);
}

namespace {

ExitCode exit_code_of(const backup::CommandReport& command, bool pass_on) {
  const int code = command.exit_code.value_or(1);
  if (!command.given_up && code == 0) return ExitCode::done;
  const bool ours = code == static_cast<int>(ExitCode::guest_held);
  return pass_on && !command.given_up && !ours ? static_cast<ExitCode>(code) : ExitCode::failed;
}

}  // namespace

ExitCode exit_code_of(const backup::FreezeReport& report, const FreezeJudgement& judgement) {
  std::vector<ExitCode> codes;
  const auto held = [](const backup::FreezeItem& item) { return item.held; };
  if (std::any_of(report.items.begin(), report.items.end(), held)) return ExitCode::guest_held;
  if (judgement.signal > 0) return static_cast<ExitCode>(128 + judgement.signal);
  if (report.command) {
    const ExitCode code = exit_code_of(*report.command, judgement.exit_from_command);
    if (code != ExitCode::done) return code;
  }
  for (const backup::FreezeItem& item : report.items) {
    if (item.outcome == backup::Outcome::skipped) continue;
    const bool weaker = item.outcome == backup::Outcome::done && !item.reasons.empty();
    codes.push_back(item.error ? exit_code_of(*item.error, judgement.signal) : weaker ? ExitCode::weaker : ExitCode::done);
  }
  return combine(codes);
}

ExitCode exit_code_of(const backup::ForgetReport& report, int signal) {
  backup::DeleteReport going;
  for (const backup::ForgetItem& item : report.items) {
    if (item.fate == backup::Fate::forget) going.items.push_back(item.item);
  }
  return exit_code_of(going, signal);
}

ExitCode combine(const std::vector<ExitCode>& codes) {
  if (codes.empty()) return ExitCode::done;
  const auto has = [&codes](ExitCode code) { return std::find(codes.begin(), codes.end(), code) != codes.end(); };
  if (has(ExitCode::guest_held)) return ExitCode::guest_held;
  const auto signal = std::find_if(codes.begin(), codes.end(), is_signal);
  if (signal != codes.end()) return *signal;
  if (std::all_of(codes.begin(), codes.end(), [&codes](ExitCode code) { return code == codes.front(); })) return codes.front();
  const bool failed = std::any_of(codes.begin(), codes.end(), is_failure);
  if (failed && !std::all_of(codes.begin(), codes.end(), is_failure)) return ExitCode::mixed;
  constexpr std::array<ExitCode, 7> k_worst_first = {ExitCode::failed, ExitCode::deadline, ExitCode::busy,  ExitCode::mixed,
                                                     ExitCode::usage,  ExitCode::problems, ExitCode::weaker};
  for (const ExitCode code : k_worst_first) {
    if (has(code)) return code;
  }
  return codes.front();
}

}  // namespace vmbackup::cli
