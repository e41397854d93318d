# shellcheck shell=bash
# Running scenarios, and the recordings of dkms, which are kept: it does what it did before as long as it,
# its world and the scenario are the same.

KEPT=$LAB_CACHE/differential

# world: makes it, for all scenarios of a run.
world() {
	find_package
	use_cache
	mkdir -p "$DIFF_OUT" "$KEPT/recordings"
	in_namespace --offline "$DIFF/run" --in-namespace make_world >"$DIFF_OUT/world.log" 2>&1 && return
	tail -n 15 "$DIFF_OUT/world.log"
	return 1
}

# identity GROUP: a digest of everything that a recording of dkms depends on.
identity() {
	{
		cat "$DIFF/scenarios/$1" "$DIFF"/lib/{world,toy,step,snapshot}.sh "$TOY"/* "$LAB/lib/namespace.sh" \
			"$KEPT"/mok.* "$(kernels_file trixie)" "$LAB_CACHE"/stamps/{root,repo}-trixie \
			"$(root_dir trixie)/var/lib/dpkg/status"
		echo "$(find_deb trixie dkms) $KR $A"
	} | sha256sum | cut -c1-32
}

# record GROUP NAME VARIANT DIR: runs it, with its recording in DIR.
record() {
	rm -rf "$4"
	mkdir -p "$4"
	in_namespace --offline "$DIFF/run" --in-namespace run_scenario "$@" >"$4.log" 2>&1
	rm -rf --one-file-system "$LAB_CACHE/mnt/$2-$3"
}

# recorded GROUP NAME: what dkms does is there afterwards, kept or new.
recorded() {
	local kept=$KEPT/recordings/$2 now
	now=$(identity "$1")
	if [ -n "${DIFF_FRESH:-}" ] || [ "$(cat "$kept/identity" 2>/dev/null)" != "$now" ]; then
		record "$1" "$2" dkms "$kept.$$"
		# One that was cut off is not taken for one the next time.
		[ ! -e "$kept.$$/complete" ] || echo "$now" >"$kept.$$/identity"
		rm -rf "$kept"
		mv -T "$kept.$$" "$kept"
		mv "$kept.$$.log" "$kept/log"
		echo 'dkms: recorded'
	else
		echo 'dkms: as kept'
	fi
	ln -s "$kept" "$DIFF_OUT/$2/dkms"
}

# scenario GROUP NAME: with both programs, and what came of it.
scenario() {
	local variant
	use_cache
	rm -rf "${DIFF_OUT:?}/$2"
	mkdir -p "$DIFF_OUT/$2"
	recorded "$1" "$2"
	for variant in $(variants "$1"); do record "$1" "$2" "$variant" "$DIFF_OUT/$2/$variant"; done
	report "$1 $2" "$DIFF_OUT/$2"
}
