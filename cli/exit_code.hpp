// The closed set of exit codes, and how a report becomes one.
#pragma once

#include <optional>
#include <vector>

#include "backup/level.hpp"
#include "backup/report.hpp"
#include "base/error.hpp"

namespace vmbackup::cli {

// Scripts depend on these numbers; the set only ever grows. Man page kubectl-vmbackup-exit-codes(7).
enum class ExitCode : int {
  done = 0,  // as strong as asked
  failed = 1,
  usage = 2,          // wrong usage, or refused before anything was changed
  weaker = 3,         // done, but weaker than --require, incomplete without --allow-partial, or a freeze not known to have held
  mixed = 4,          // some items failed, some did not
  problems = 5,       // a check found problems
  deadline = 6,       // the deadline passed; what still exists is named
  guest_held = 7,     // a guest may still be frozen or paused
  busy = 8,           // another operation is under way
  hung_up = 129,      // ended by HUP, everything owed was done
  interrupted = 130,  // by INT
  terminated = 143,   // by TERM
};

// One line per code, in order, for help and the man page.
struct ExitCodeText {
  ExitCode code;
  const char* meaning;
};
const std::vector<ExitCodeText>& exit_code_texts();

// `signal` is the first signal that came, 0 for none: a cancelled error has that signal's code (128 + n).
ExitCode exit_code_of(const base::Error& error, int signal);

struct Judgement {
  bool allow_partial = false;  // an incomplete snapshot is good enough
  bool judge_complete = true;  // false where completeness is not known (nothing was waited for) or does not matter
  int signal = 0;
  std::optional<backup::Level> require{};  // what is weaker is not good enough
  std::optional<backup::Level> best{};     // of a plan: the level that it can come to
};
ExitCode exit_code_of(const backup::SnapshotItem& item, const Judgement& judgement);
ExitCode exit_code_of(const backup::SnapshotReport& report, const Judgement& judgement);
ExitCode exit_code_of(const backup::DeleteReport& report, int signal);
ExitCode exit_code_of(const backup::ForgetReport& report, int signal);  // of those that go; none: 0

struct FreezeJudgement {
  int signal = 0;                  // the first signal that came: its code beats all but 7
  bool exit_from_command = false;  // pass the command's own code on; never 7, which is ours
};
// 3 where a command ran and a guest cannot be said to have stood still all the time.
ExitCode exit_code_of(const backup::FreezeReport& report, const FreezeJudgement& judgement);

// The code of a run from those of its items: 7 beats all, then a signal's; all equal gives that one; failed (1, 6, 8) and not failed (0, 3)
// together give 4; else the worst of 1, 6, 8, 2, 5, 3. No items: 0.
ExitCode combine(const std::vector<ExitCode>& codes);

}  // namespace vmbackup::cli
