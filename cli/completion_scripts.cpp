// What the shells load. Each file only asks the program, so that it never has to change with the flags.
#include "cli/docs.hpp"

namespace vmbackup::cli {
namespace {

// Bash cuts words at "=", so they are put together first, and of an answer "--flag=value" only the value is given back.
constexpr const char* k_bash = R"(# Completion of kubectl-vmbackup for bash. Generated, do not edit.
_kubectl_vmbackup() {
  local words=() word glue='' last candidates line
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if [[ ${#words[@]} -gt 0 && ( $word == = || -n $glue ) ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
    if [[ $word == = ]]; then glue=1; else glue=''; fi
  done
  last=${words[-1]}
  unset 'words[-1]'
  COMPREPLY=()
  candidates=$("${COMP_WORDS[0]}" __complete "${words[@]}" "$last" 2>/dev/null) || return
  while IFS= read -r line; do
    case $line in
      :0) mapfile -t COMPREPLY < <(compgen -f -- "${last#*=}") ;;
      :*) ;;
      *)
        line=${line%%$'\t'*}
        [[ $last == --*=* ]] && line=${line#*=}
        COMPREPLY+=("$line")
        ;;
    esac
  done <<<"$candidates"
}
complete -F _kubectl_vmbackup kubectl-vmbackup
)";

constexpr const char* k_zsh = R"(#compdef kubectl-vmbackup
# Completion of kubectl-vmbackup for zsh. Generated, do not edit.
_kubectl-vmbackup() {
  local -a lines candidates
  local line
  lines=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in "${lines[@]}"; do
    case $line in
      :0) _files; return ;;
      :*|'') ;;
      *$'\t'*) candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
      *) candidates+=("${line//:/\\:}") ;;
    esac
  done
  _describe 'kubectl-vmbackup' candidates
}
if [[ $funcstack[1] == _kubectl-vmbackup ]]; then
  _kubectl-vmbackup "$@"
else
  compdef _kubectl-vmbackup kubectl-vmbackup
fi
)";

constexpr const char* k_fish = R"(# Completion of kubectl-vmbackup for fish. Generated, do not edit.
function __kubectl_vmbackup_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] "$last" 2>/dev/null)
        switch $line
            case ':0'
                __fish_complete_path "$last"
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c kubectl-vmbackup -f -a '(__kubectl_vmbackup_complete)'
)";

// kubectl runs this for "kubectl vmbackup <TAB>" and reads the same lines as the shells do.
constexpr const char* k_kubectl = R"(#!/bin/sh
# Completion of "kubectl vmbackup": put this in PATH as kubectl_complete-vmbackup. Generated, do not edit.
exec kubectl-vmbackup __complete "$@"
)";

}  // namespace

std::string completion_script(const std::string& shell) {
  if (shell == "bash") return k_bash;
  if (shell == "zsh") return k_zsh;
  if (shell == "fish") return k_fish;
  if (shell == "kubectl") return k_kubectl;
  return {};
}

std::vector<TextFile> completion_files() {
  return {{"kubectl-vmbackup.bash", k_bash},
          {"_kubectl-vmbackup", k_zsh},
          {"kubectl-vmbackup.fish", k_fish},
          {"kubectl_complete-vmbackup", k_kubectl}};
}

}  // namespace vmbackup::cli
