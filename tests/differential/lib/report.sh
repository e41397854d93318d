# shellcheck shell=bash
# What came of it.

# report "group name" LINES: a table, the differences nobody declared, and the sum.
report() {
	local group name variant wrong steps declared passed=0 failed=0 seen=$DIFF_OUT/declared.tsv row
	: >"$seen"
	printf '| scenario | steps | declared differences | others |\n|---|---|---|---|\n' >"$DIFF_OUT/table.md"
	: >"$DIFF_OUT/faults"
	while read -r group name; do
		for variant in $(variants "$group"); do
			wrong=$(compare_scenario "$name" "$variant" 3>"$DIFF_OUT/$name/declared")
			cat "$DIFF_OUT/$name/declared" >>"$seen"
			steps=$(find "$DIFF_OUT/$name/dkms" -name '*.cmd' | wc -l)
			declared=$(wc -l <"$DIFF_OUT/$name/declared")
			if [ -z "$wrong" ]; then
				passed=$((passed + 1))
			else
				failed=$((failed + 1))
				printf '%s (%s)\n%s\n' "$name" "$variant" "$wrong" >>"$DIFF_OUT/faults"
			fi
			[ "$variant" = dkms-hook ] || name_shown="$name, ${variant%-first} first"
			printf '| %s: %s | %s | %s | %s |\n' "$group" "${name_shown:-$name}" "$steps" "$declared" \
				"$(grep -c '^    ' <<<"$wrong")" >>"$DIFF_OUT/table.md"
			name_shown=
		done
	done <<<"$1"
	cat "$DIFF_OUT/table.md" "$DIFF_OUT/faults"
	while read -r row; do
		row_exists "$row" && continue
		printf 'declared, but in no table: %s\n' "$row"
		failed=$((failed + 1))
	done < <(cut -f1 "$seen" | sort -u)
	printf '%s s in all\n%s passed, %s failed, 0 skipped\n' "$SECONDS" "$passed" "$failed"
	[ "$failed" = 0 ]
}
