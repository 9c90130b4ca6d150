# Completion of kubectl-vmbackup for bash. Generated, do not edit.
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
