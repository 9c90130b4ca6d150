// Hidden: what the shells' completions ask.
#include "cli/complete.hpp"

#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "backup/names.hpp"
#include "cli/commands/all.hpp"
#include "cli/context.hpp"

namespace vmbackup::cli {
namespace {

// A person waits with a finger on the key: 200 ms in all, and the process needs some of it to begin and to end.
constexpr base::Duration k_patience = std::chrono::milliseconds(160);

backup::NamedKind kind_of(Names names) {
  if (names == Names::ns) return backup::NamedKind::ns;
  return names == Names::snapshot ? backup::NamedKind::snapshot : backup::NamedKind::virtual_machine;
}

// Empty where anything goes wrong: a completion has no place for an error.
std::vector<std::string> find_names(Context& context, const WantedNames& wanted, const base::Deadline& deadline,
                                    const std::stop_token& stop) {
  if (wanted.kind == Names::context || wanted.kind == Names::cluster || wanted.kind == Names::user) {
    return context.kubeconfig_names(wanted.options, wanted.kind);
  }
  const base::Result<Connected> cluster = context.connect(wanted.options);
  if (!cluster) return {};
  const base::Result<std::vector<std::string>> names =
      backup::names_of(*cluster->client, kind_of(wanted.kind), cluster->ns, deadline, stop);
  return names ? *names : std::vector<std::string>();
}

// What the thread that looks and the one that waits for it share.
struct Lookup {
  std::mutex mutex;
  std::vector<std::string> names;
  base::Wakeup done;
};

// Looks on a thread of its own, since a file, an address or a plugin may hang where no deadline reaches. False: the time was up, and the
// thread still runs.
bool find_in_time(Context& context, const WantedNames& wanted, std::vector<std::string>& names) {
  const base::Deadline deadline = base::Deadline::after(context.clock(), k_patience);
  const std::shared_ptr<Lookup> lookup = std::make_shared<Lookup>();
  std::thread looking([lookup, &context, wanted, deadline] {
    std::vector<std::string> found = find_names(context, wanted, deadline, context.stop());
    const std::lock_guard<std::mutex> lock(lookup->mutex);
    lookup->names = std::move(found);
    lookup->done.notify();
  });
  const bool in_time = context.clock().wait(lookup->done, deadline.when(), context.stop()) == base::WaitEnd::woken;
  if (!in_time) {
    looking.detach();
    return false;
  }
  looking.join();
  names = std::move(lookup->names);
  return true;
}

ExitCode run_complete(Context& context, const std::vector<std::string>& words) {
  std::vector<std::string> before = words;
  std::string last;
  if (!before.empty()) {
    last = before.back();
    before.pop_back();
  }
  Completion completion = complete(context.commands(), before, last);
  completion.names.options.completing = true;
  std::vector<std::string> names;
  bool over = false;
  if (completion.names.kind == Names::none || completion.names.kind == Names::command) {
    // Nothing to look up.
  } else if (context.can_leave()) {
    over = !find_in_time(context, completion.names, names);
  } else {
    names = find_names(context, completion.names, base::Deadline::after(context.clock(), k_patience), context.stop());
  }
  add_names(completion, names);
  context.out().write(completion_text(completion));
  // The thread that is late would hold us up.
  if (over) context.leave(ExitCode::done);
  return ExitCode::done;
}

}  // namespace

Command complete_command() {
  return {.name = "__complete", .summary = "Candidates for the last word, one per line", .hidden = true, .raw_run = run_complete};
}

}  // namespace vmbackup::cli
