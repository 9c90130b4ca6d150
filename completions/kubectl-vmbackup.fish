# Completion of kubectl-vmbackup for fish. Generated, do not edit.
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
