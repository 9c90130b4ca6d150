// The flags that mean the same everywhere.
#include <chrono>
#include <memory>

#include "cli/flags.hpp"
#include "cli/names.hpp"

namespace vmbackup::cli {

void bind_common(Flags& flags, CommonOptions& target) {
  flags.add(choice<ProgressKind>(
      {.name = "progress",
       .metavar = "HOW",
       .help = "how progress is shown on stderr; auto: a live line at a terminal, plain lines elsewhere",
       .fallback = "auto",
       .group = FlagGroup::output},
      target.progress,
      {{"auto", ProgressKind::automatic}, {"plain", ProgressKind::plain}, {"json", ProgressKind::json}, {"none", ProgressKind::none}}));
  flags.add(Flag{.name = "quiet",
                 .help = "no progress and no notes; warnings and errors stay",
                 .group = FlagGroup::output,
                 .set = switch_into(target.quiet)});
  flags.add(
      Flag{.name = "no-color", .help = "no colors, as with NO_COLOR", .group = FlagGroup::output, .set = switch_into(target.no_color)});
  flags.add(Flag{.name = "kubeconfig",
                 .metavar = "FILE",
                 .help = "kubeconfig file; without it KUBECONFIG, then ~/.kube/config",
                 .group = FlagGroup::connection,
                 .empty_ok = true,
                 .set = text_into(target.kubeconfig)});
  flags.add(Flag{.name = "context",
                 .metavar = "NAME",
                 .help = "context of the kubeconfig to use",
                 .group = FlagGroup::connection,
                 .names = Names::context,
                 .empty_ok = true,
                 .set = text_into(target.context)});
  flags.add(Flag{.name = "namespace",
                 .letter = 'n',
                 .metavar = "NAME",
                 .help = "namespace; without it that of the context",
                 .group = FlagGroup::connection,
                 .names = Names::ns,
                 .empty_ok = true,
                 .set = namespace_into(target.ns)});
  bind_connection(flags, target);
  flags.add(Flag{.name = "verbose",
                 .letter = 'v',
                 .help = "show every request on stderr",
                 .group = FlagGroup::general,
                 .repeats = true,
                 .set = [&target](const std::string& text) -> base::Result<void> {
                   target.verbosity = text == "true" ? target.verbosity + 1 : 0;
                   return {};
                 }});
  flags.add(Flag{.name = "help", .letter = 'h', .help = "show this help", .group = FlagGroup::general, .set = switch_into(target.help)});
}

void bind_output(Flags& flags, OutputFormat& target, const std::vector<OutputFormat>& allowed) {
  const Choices<OutputFormat> all = {{"table", OutputFormat::table},
                                     {"wide", OutputFormat::wide},
                                     {"json", OutputFormat::json},
                                     {"yaml", OutputFormat::yaml},
                                     {"name", OutputFormat::name}};
  Choices<OutputFormat> words;
  for (const OutputFormat format : allowed) {
    for (const std::pair<std::string, OutputFormat>& word : all) {
      if (word.second == format) words.push_back(word);
    }
  }
  flags.add(choice<OutputFormat>({.name = "output",
                                  .letter = 'o',
                                  .metavar = "FORMAT",
                                  .help = "how the result is printed",
                                  .fallback = "table",
                                  .group = FlagGroup::output},
                                 target, words));
}

void bind_timeout(Flags& flags, base::Duration& target, bool* given) {
  const SetText into = duration_into(
      target,
      {.least = std::chrono::seconds(1), .why_not_zero = "a wait of no time at all cannot succeed", .why_not_below = "the shortest is 1s"});
  flags.add(Flag{.name = "timeout",
                 .metavar = "DURATION",
                 .help = "give up after this long; what was begun is left as it is, and named",
                 .fallback = base::format_duration(target),
                 .set = [into, given](const std::string& text) {
                   if (given != nullptr) *given = true;
                   return into(text);
                 }});
}

void bind_dry_run(Flags& flags, DryRun& target, bool server) {
  Choices<DryRun> words = {{"client", DryRun::client}};
  if (server) words.emplace_back("server", DryRun::server);
  flags.add(choice<DryRun>({.name = "dry-run",
                            .metavar = "HOW",
                            .help = server ? "print what would be done and change nothing; server: let the server check it as well"
                                           : "print what would be done and change nothing",
                            .implied = "client"},
                           target, words));
}

void bind_yes(Flags& flags, bool& target) {
  flags.add(Flag{.name = "yes", .letter = 'y', .help = "do not ask; needed where there is no terminal", .set = switch_into(target)});
}

void bind_all_namespaces(Flags& flags, bool& target) {
  flags.add(
      Flag{.name = "all-namespaces", .letter = 'A', .help = "in all namespaces", .excludes = {"namespace"}, .set = switch_into(target)});
}

void bind_ignore_recorded(Flags& flags, bool& target) {
  flags.add(Flag{.name = "ignore-recorded",
                 .help = "judge from the objects alone, as if nothing had been recorded while the snapshot was taken",
                 .set = switch_into(target)});
}

void bind_allow_partial(Flags& flags, bool& target) {
  flags.add(Flag{.name = "allow-partial",
                 .help = "exit 0, not 3, when a disk that the VM can write is not in the snapshot",
                 .set = switch_into(target)});
}

void bind_wait_on_error(Flags& flags, bool& target) {
  flags.add(Flag{.name = "wait-on-error",
                 .help = "go on waiting through errors that are known not to heal by themselves, for as long as KubeVirt goes on trying",
                 .set = switch_into(target)});
}

void bind_failure_deadline(Flags& flags, std::optional<base::Duration>& target) {
  flags.add(Flag{.name = "failure-deadline",
                 .metavar = "DURATION",
                 .help = "KubeVirt gives the snapshot up after this long, and a guest thaws itself after it at the latest",
                 .fallback = "5m, by KubeVirt",
                 .set = [&target](const std::string& text) {
                   base::Duration parsed{};
                   base::Result<void> taken = duration_into(
                       parsed,
                       {.least = std::chrono::seconds(1),
                        .why_not_zero = "0 would switch off KubeVirt's deadline and with it the timer that thaws the guest "
                                        "if all else fails",
                        .why_not_below = "the guest's thaw timer counts whole seconds, so this would be 0 and switch it off"})(text);
                   if (taken) target = parsed;
                   return taken;
                 }});
}

}  // namespace vmbackup::cli
