#compdef lastword kubectl-lastword
# zsh completion of lastword: source <(lastword completion zsh), or as _lastword in a folder of fpath.
# lastword itself says what may follow, in the form that kubectl's plugins use.

_lastword() {
	local current=${words[CURRENT]} line choice directive=4
	local -a lines choices
	lines=("${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	for line in "${lines[@]}"; do
		choice=${line%%$'\t'*}
		if [[ $line == :* ]]; then
			directive=${line#:}
		elif [[ -n $choice && $line == *$'\t'* ]]; then
			choices+=("${choice//:/\\:}:${line#*$'\t'}")
		elif [[ -n $choice ]]; then
			choices+=("${choice//:/\\:}")
		fi
	done
	if [[ $current == -*=* ]]; then
		compset -P '*='
	fi
	if (( ${#choices} > 0 )); then
		_describe -t lastword lastword choices
	elif (( directive & 16 )); then
		_files -/
	elif (( !(directive & 4) )); then
		_files
	fi
}

if [[ $funcstack[1] == _lastword ]]; then
	_lastword "$@"
else
	compdef _lastword lastword kubectl-lastword
fi
