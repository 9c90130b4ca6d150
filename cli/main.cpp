// The process: descriptors, environment and signals; all else is in app.cpp.
#include <malloc.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "cli/app.hpp"
#include "cli/commands/all.hpp"
#include "cli/signals.hpp"

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> all_variables() {
  std::vector<std::string> lines;
  for (char** line = environ; line != nullptr && *line != nullptr; ++line) lines.emplace_back(*line);
  return lines;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

unsigned random_number() {
  unsigned number = 0;
  // No such system call: a name that is taken already is refused, so that little randomness does no harm.
  if (getrandom(&number, sizeof number, 0) != sizeof number) number = static_cast<unsigned>(getpid());
  return number;
}

vmbackup::cli::Environment read_environment() {
  const std::string term = variable("TERM");
  return {.home = variable("HOME"),
          .kubeconfig = variable("KUBECONFIG"),
          .no_color = !variable("NO_COLOR").empty(),
          .dumb = term.empty() || term == "dumb",
          .variables = all_variables(),
          .input_terminal = isatty(STDIN_FILENO) != 0,
          .host = host_name()};
}

}  // namespace

int main(int argc, char** argv) {
  namespace cli = vmbackup::cli;
#ifdef __GLIBC__
  // Few threads and short lives: memory pools of their own would only hold more.
  mallopt(M_ARENA_MAX, 1);
#endif
  cli::secure_standard_descriptors();
  std::stop_source stop;
  vmbackup::backup::Debts debts;
  cli::Signals signals(stop, [&debts] { return !debts.owed().empty(); });
  vmbackup::base::SystemClock clock;
  cli::Input in(STDIN_FILENO);
  cli::Output out(STDOUT_FILENO);
  cli::Output err(STDERR_FILENO);
  cli::World world{.streams = {in, out, err},
                   .clock = clock,
                   .environment = read_environment(),
                   .stop = stop.get_token(),
                   .signal = [&signals] { return signals.received(); },
                   .connect = cli::connect_by_kubeconfig,
                   .random = random_number,
                   .debts = debts,
                   .hear = [&signals](std::function<void(const std::string&)> say) { signals.hear(std::move(say)); },
                   .leave = [](int code) { _exit(code); },
                   .ticking = true};
  return static_cast<int>(cli::run(world, cli::all_commands(), std::vector<std::string>(argv, argv + argc)));
}
