# Completion of kubectl-vmbackup for bash. Generated, do not edit.
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
