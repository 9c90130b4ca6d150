// Hidden: what the shells' completions ask.
#include "cli/complete.hpp"

#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace vmbackup::cli {

Command complete_command() {
  return {.name = "__complete",
          .summary = "Candidates for the last word, one per line",
          .hidden = true,
          .raw_run = [](Context& context, const std::vector<std::string>& words) {
            std::vector<std::string> before = words;
            std::string last;
            if (!before.empty()) {
              last = before.back();
              before.pop_back();
            }
            context.out().write(completion_text(complete(context.commands(), before, last)));
            return ExitCode::done;
          }};
}

}  // namespace vmbackup::cli
