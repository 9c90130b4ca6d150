// kubectl vmbackup completion: what a shell loads.
#include <memory>
#include <string>

#include "cli/commands/all.hpp"
#include "cli/context.hpp"
#include "cli/docs.hpp"

namespace vmbackup::cli {
namespace {

constexpr const char* k_description =
    "Prints the completion for a shell, for kubectl-vmbackup. For \"kubectl vmbackup <TAB>\" print that for kubectl into an executable "
    "file "
    "named kubectl_complete-vmbackup somewhere in PATH; kubectl's own completion must be loaded in the shell.\n"
    "\n"
    "Commands, flags and values are completed, and contexts, clusters and users of the kubeconfig. Names of VMs, snapshots and namespaces "
    "are asked of the cluster that the words before name, and offered when it answers within 200 ms; a credential plugin is run for that "
    "only when the kubeconfig says that it never asks a person (interactiveMode: Never).";

Run bind(Flags& flags) {
  const std::shared_ptr<std::string> shell = std::make_shared<std::string>();
  flags.add(Argument{
      .name = "SHELL", .help = "bash, zsh, fish or kubectl", .choices = {"bash", "zsh", "fish", "kubectl"}, .add = text_into(*shell)});
  return [shell](Context& context) {
    context.out().write(completion_script(*shell));
    return ExitCode::done;
  };
}

}  // namespace

Command completion_command() {
  return {.name = "completion",
          .summary = "Print the completion for a shell",
          .description = k_description,
          .examples = {{"for bash, where it looks for completions",
                        "completion bash > ~/.local/share/bash-completion/completions/kubectl-vmbackup"},
                       {"kubectl's own completion of this plugin",
                        "completion kubectl > ~/bin/kubectl_complete-vmbackup && chmod +x ~/bin/kubectl_complete-vmbackup"}},
          .exit_codes = {ExitCode::done, ExitCode::usage},
          .bind = bind};
}

}  // namespace vmbackup::cli
