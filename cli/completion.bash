# bash completion of lastword: source <(lastword completion bash)
# lastword itself says what may follow, in the form that kubectl's plugins use.

_lastword() {
	local rest=$COMP_LINE trimmed word line choice current directive i
	local -a words=()
	# Bash splits words at characters such as "=" and ":"; what no blank separates is one word.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		trimmed=${rest#"${rest%%[![:space:]]*}"}
		if ((i > 0)) && [[ $trimmed == "$rest" && -n $word ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
		rest=${trimmed#"$word"}
	done
	current=${words[-1]}
	[[ $current == -*=* ]] && current=${current#*=}

	COMPREPLY=()
	directive=4
	while IFS= read -r line; do
		choice=${line%%$'\t'*}
		if [[ $line == :* ]]; then
			directive=${line#:}
		elif [[ $choice == "$current"* ]]; then
			COMPREPLY+=("$choice")
		fi
	done < <("${words[@]:0:1}" __complete "${words[@]:1}" 2>/dev/null)

	if ((directive & 2)); then
		compopt -o nospace
	fi
	if ((${#COMPREPLY[@]} == 0 && directive & 16)); then
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
	elif ((${#COMPREPLY[@]} == 0 && !(directive & 4))); then
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	elif [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
		# Readline replaces only what follows the last colon.
		COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
	fi
}

complete -F _lastword lastword kubectl-lastword
