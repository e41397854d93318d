# shellcheck shell=bash
# A row from outside, the same in every lab: what the queue asks of it and how it ended.



# each_row: the full names of the rows.
each_row() {
	if [ "$LAB_NAME" = apt ]; then ls "$LAB/rows"; else all_rows; fi
}

# row_facts: "row suite layer" of each, whether or not anything was fetched yet.
row_facts() {
	local row
	# Which kernels there will be is of no consequence for this.
	load_kernels() { R1=R1 R2=R2 KB=KB; }
	kernels_file() { echo /dev/null; }
	R1=R1 R2=R2 G=G RB=RB RS=RS
	for row in $(each_row); do
		load_row "$row"
		echo "$row $SUITE $FROM"
	done
}

# ours: sets what is under test, if that is us.
ours() { [ "$LAB_UNDER_TEST" = dkms ] || find_package; }

# out: results with dkms in our place are kept apart.
out() {
	[ "$LAB_UNDER_TEST" != dkms ] || LAB_OUT+=/dkms
	case $LAB_NAME in apt) ;; rpm) export RPM_LAB_OUT=$LAB_OUT ;; pacman) export PACMAN_LAB_OUT=$LAB_OUT ;; esac
	export LAB_OUT
	mkdir -p "$LAB_OUT/rows"
}

# fill SUITE LAYER: makes the layer on top of the one that is there.
fill() {
	local status=0
	out
	ours
	use_cache
	in_namespace --offline "$LAB/inside" "$LAB_NAME" fill_layer "$1" "$2" >"$LAB_OUT/rows/layer-$1-$2.log" 2>&1 || status=$?
	[ "$status" = 0 ] || tail -n 30 "$LAB_OUT/rows/layer-$1-$2.log"
	return "$status"
}

# one ROW: runs it within its time, says what was wrong, and ends with one line that counts it. With
# dkms in our place a row that is known to be beyond it has to fail, and every other one to pass.
one() {
	local name=$1 began=$SECONDS status=0
	out
	ours
	use_cache
	load_row "$name"
	echo "$name: $TITLE"
	rm -f "$LAB_OUT/rows/$name".*
	if [ -n "$SKIP" ]; then
		echo 'skipped 0' >"$LAB_OUT/rows/$name.end"
		printf 'left out: %s\n0 passed, 0 failed, 1 skipped\n' "$SKIP"
		return
	fi
	in_namespace --offline timeout -k 5 "$SECONDS_LIMIT" "$LAB/inside" "$LAB_NAME" run_row "$name" \
		>"$LAB_OUT/rows/$name.log" 2>&1 || status=$?
	rm -rf --one-file-system "$LAB_CACHE/mnt/$LAB_UNDER_TEST/row-$name"
	case $status in
	0) status=ok ;;
	124 | 137) status=TIMEOUT ;;
	*) status=FAILED ;;
	esac
	printf '%s %s\n' "$status" "$((SECONDS - began))" >"$LAB_OUT/rows/$name.end"
	[ -e "$LAB_OUT/rows/$name.faults" ] && cat "$LAB_OUT/rows/$name.faults"
	echo "$status (log: $LAB_OUT/rows/$name.log)"
	if [ "$LAB_UNDER_TEST" = dkms ]; then as_expected "$status"; else [ "$status" = ok ]; fi
}

# as_expected RESULT: of the row that is loaded, with dkms in our place.
as_expected() {
	case $1/${DKMS_FAILS:+beyond} in
	ok/) ;;
	FAILED/beyond)
		[ "$DKMS_FAILS" != yes ] || return 0
		grep -qE -- "$DKMS_FAILS" "$LAB_OUT/rows/$name.faults" && return
		echo "fails with dkms, but not as it should: $DKMS_FAILS"
		return 1
		;;
	ok/beyond) echo 'passes with dkms, although it should not' && return 1 ;;
	*) echo 'fails with dkms, although it should not' && return 1 ;;
	esac
}

# write_table: of every row that has run, in the order of their names.
write_table() {
	local row result seconds
	out
	{
		table_head
		for row in $(each_row); do
			[ -e "$LAB_OUT/rows/$row.end" ] || continue
			read -r result seconds <"$LAB_OUT/rows/$row.end"
			table_row "$row" "$result" "$seconds"
		done
	} >"$LAB_OUT/scenarios.md"
	echo "table: $LAB_OUT/scenarios.md"
}
