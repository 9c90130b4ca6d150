# Completion of kubectl-vmbackup for fish. Generated, do not edit.
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
