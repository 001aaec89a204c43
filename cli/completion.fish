# fish completion of lastword: lastword completion fish | source
# lastword itself says what may follow, in the form that kubectl's plugins use.

function __lastword_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    set -l prefix (string match -r -- '^-[^=]*=' "$current")
    set -l directive (string replace ':' '' -- $lines[-1])
    set -l choices $lines[1..-2]
    if test (count $choices) -gt 0
        for line in $choices
            printf '%s%s\n' "$prefix" "$line"
        end
    else if test "$directive" = 16
        __fish_complete_directories (string replace -r -- '^-[^=]*=' '' "$current")
    else if test "$directive" = 0
        __fish_complete_path (string replace -r -- '^-[^=]*=' '' "$current")
    end
end

complete -c lastword -e
complete -c lastword -f -a '(__lastword_complete)'
complete -c kubectl-lastword -f -a '(__lastword_complete)'
