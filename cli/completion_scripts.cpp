// What the shells load. Each file only asks the program, so that it never has to change with the flags.
#include "cli/docs.hpp"

namespace vmbackup::cli {
namespace {

// Bash cuts words at "=" and ":" too. What no blank stands before belongs to the word before; and of an answer only what comes after the
// last cut is given back. No shell expands the words for us, and running them through eval would run what stands in them: only ~/ is
// understood.
constexpr const char* k_bash = R"(# Completion of kubectl-vmbackup for bash. Generated, do not edit.
_kubectl_vmbackup() {
  local rest=${COMP_LINE:0:COMP_POINT} words=() at word blank last cut='' breaks=${COMP_WORDBREAKS//[^=:]/} candidates line
  for ((at = 0; at <= COMP_CWORD; ++at)); do
    word=${COMP_WORDS[at]}
    blank=${rest%%[![:space:]]*}
    rest=${rest#"$blank"}
    ((at < COMP_CWORD)) || word=$rest
    if [[ ${#words[@]} -eq 0 || -n $blank ]]; then words+=("$word"); else words[-1]+=$word; fi
    rest=${rest#"$word"}
  done
  last=${words[-1]}
  [[ -n $breaks && $last == *["$breaks"]* ]] && cut=${last%"${last##*["$breaks"]}"}
  words=("${words[@]/#\~\//$HOME/}")
  COMPREPLY=()
  candidates=$("${words[0]}" __complete "${words[@]:1:${#words[@]}-2}" "$last" 2>/dev/null) || return
  while IFS= read -r line; do
    case $line in
      :0) mapfile -t COMPREPLY < <(compgen -f -- "${last#"$cut"}") ;;
      :*) ;;
      *)
        line=${line%%$'\t'*}
        COMPREPLY+=("${line#"$cut"}")
        ;;
    esac
  done <<<"$candidates"
}
complete -F _kubectl_vmbackup kubectl-vmbackup
)";

constexpr const char* k_zsh = R"(#compdef kubectl-vmbackup
# Completion of kubectl-vmbackup for zsh. Generated, do not edit.
_kubectl-vmbackup() {
  local -a lines candidates typed
  local line
  typed=("${(@)${(@Q)words[1,CURRENT-1]}/#\~\//$HOME/}")
  lines=("${(@f)$("${typed[1]}" __complete "${(@)typed[2,-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
  for line in "${lines[@]}"; do
    case $line in
      :0) compset -P '--*='; _files; return ;;
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
    set -l words (string replace -r '^~/' "$HOME/" -- (commandline -opc))
    set -l last (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] "$last" 2>/dev/null)
        switch $line
            case ':0'
                set -l flag (string match -r -- '^--[^=]*=' "$last")
                set -l path (string replace -- "$flag" '' "$last")
                for file in (__fish_complete_path (string replace -r '^~/' "$HOME/" -- "$path"))
                    string match -q -- '~/*' "$path"; and set file (string replace -- "$HOME/" '~/' "$file")
                    echo "$flag$file"
                end
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
