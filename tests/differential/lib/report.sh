# shellcheck shell=bash
# What came of it.

# report "group name" LINES DIR: a table (in that directory), the differences nobody declared, and the sum.
report() {
	local group name variant wrong steps declared passed=0 failed=0 seen=$2/declared.tsv row
	: >"$seen"
	: >"$2/table.md"
	: >"$2/faults"
	while read -r group name; do
		for variant in $(variants "$group"); do
			wrong=$(compare_scenario "$name" "$variant" 3>"$DIFF_OUT/$name/declared")
			cat "$DIFF_OUT/$name/declared" >>"$seen"
			steps=$(find "$DIFF_OUT/$name/dkms/" -name '*.cmd' | wc -l)
			declared=$(wc -l <"$DIFF_OUT/$name/declared")
			if [ -z "$wrong" ]; then
				passed=$((passed + 1))
			else
				failed=$((failed + 1))
				printf '%s (%s)\n%s\n' "$name" "$variant" "$wrong" >>"$2/faults"
			fi
			[ "$variant" = dkms-hook ] || name_shown="$name, ${variant%-first} first"
			printf '| %s: %s | %s | %s | %s |\n' "$group" "${name_shown:-$name}" "$steps" "$declared" \
				"$(grep -c '^    ' <<<"$wrong")" >>"$2/table.md"
			name_shown=
		done
	done <<<"$1"
	cat "$2/table.md" "$2/faults"
	while read -r row; do
		row_exists "$row" && continue
		printf 'declared, but in no table: %s\n' "$row"
		failed=$((failed + 1))
	done < <(cut -f1 "$seen" | sort -u)
	printf '%s passed, %s failed, 0 skipped\n' "$passed" "$failed"
	[ "$failed" = 0 ]
}
