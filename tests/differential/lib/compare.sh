# shellcheck shell=bash
# Two recordings of a scenario, step by step. A difference is a line of text:
#   exit: there 0, here 2
#   status: there only: LINE        said: here only: LINE
#   tree: there only: PATH          tree: PATH: there TEXT, here TEXT
#   tree: usr/lib/modules/KERNEL/modules.*: DIFFERENT   (what depmod writes, told once)
# "there" is dkms, "here" dkms-hook. Differences of status and tree are told at the step that
# brought them, not again at the following ones.

compare_lines() { # WHAT THERE HERE
	cmp -s "$2" "$3" && return
	diff --old-line-format="$1: there only: %L" --new-line-format="$1: here only: %L" \
		--unchanged-line-format= "$2" "$3"
}

# Of a directory that is on one side only, its content is not told as well.
compare_trees() { # THERE HERE
	cmp -s "$1" "$2" && return
	awk -F'\t' '
		function told(text) {
			if (match(text, "^[^ ]*usr/lib/modules/[^/]*/modules\\.") || match(text, "^(there|here) only: usr/lib/modules/[^/]*/modules\\."))
				text = substr(text, 1, RLENGTH) "*: DIFFERENT"
			if (!(text in said)) print "tree: " text
			said[text] = 1
		}
		function lone(path) { return sub("/[^/]*$", "", path) && ((path in there) != (path in here)) }
		FILENAME == ARGV[1] { there[$1] = $2; next }
		{ here[$1] = $2 }
		END {
			for (path in here) {
				if (!(path in there)) { if (!lone(path)) told("here only: " path) }
				else if (there[path] != here[path])
					told(path ": there " there[path] ", here " here[path])
			}
			for (path in there) if (!(path in here) && !lone(path)) told("there only: " path)
		}' "$1" "$2" | LC_ALL=C sort
}

# differences THERE HERE: of one step, recordings without their suffix.
differences() {
	cmp -s "$1.code" "$2.code" || echo "exit: there $(cat "$1.code"), here $(cat "$2.code")"
	[ ! -e "$1.said" ] || compare_lines said "$1.said" "$2.said"
	compare_lines status "$1.status" "$2.status"
	[ ! -e "$2.other" ] || compare_lines 'status read by the other' "$2.status" "$2.other"
	compare_trees "$1.tree" "$2.tree"
}

# compare_scenario NAME VARIANT: prints what is wrong; "declared<TAB>row" lines go to descriptor 3.
compare_scenario() {
	local there=$DIFF_OUT/$1/dkms here=$DIFF_OUT/$1/$2 old=/dev/null new n line row pattern
	for n in "$there" "$here"; do
		[ -e "$n/complete" ] || { echo "ended early: ${n##*/}" && return; }
	done
	for n in "$there"/*.cmd; do
		n=${n##*/}
		n=${n%.cmd}
		new=$here/$n.all
		differences "$there/$n" "$here/$n" >"$new"
		grep -vFx -f <(grep -v '^exit:\|^said:' "$old") "$new" >"$here/$n.differences"
		old=$new
		: >"$here/$n.known"
		while IFS=$'\t' read -r row pattern; do
			if matching "$pattern" <"$here/$n.differences" >>"$here/$n.known"; then
				printf '%s\t%s\t%s\t%s\n' "$row" "$1" "$n" "$pattern" >&3
			else
				echo "step $n: $(cat "$there/$n.cmd")"
				echo "    no longer so: $pattern ($row)"
			fi
		done <"$there/$n.declared"
		line=$(grep -vFx -f "$here/$n.known" "$here/$n.differences") || continue
		echo "step $n: $(cat "$there/$n.cmd")"
		sed 's/^/    /' <<<"$line"
	done
}

# matching PATTERN: the lines of stdin that it matches; fails when there are none.
matching() {
	local line found=1
	while IFS= read -r line; do
		# shellcheck disable=SC2053 # a glob
		if [[ $line == $1 ]]; then
			found=0
			printf '%s\n' "$line"
		fi
	done
	return "$found"
}
