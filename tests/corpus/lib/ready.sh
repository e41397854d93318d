# shellcheck shell=bash
# What a run needs before it starts: the rows, their packages, and the root.

# choose_rows: sets rows, fast ones first.
choose_rows() {
	if [ -n "$all$list" ]; then
		[ -e "$CORPUS_CACHE/all" ] || alone fetch.lock fetch
		mapfile -t rows < <(rows_with . | grep '[@=]' | grep -vxFf <(rows_with '^slow')
			grep -vxFf <(rows_with '^slow'; rows_with . | grep '[@=]') "$CORPUS_CACHE/all"
			rows_with '^slow')
	fi
	if [ "${#rows[@]}" = 0 ]; then
		export dozen=yes
		mapfile -t rows < <(rows_with '^ci')
	fi
}

# alone LOCK COMMAND…: while no other run holds that lock.
alone() {
	exec 7>"$CORPUS_CACHE/$1"
	flock --nonblock 7 || { say 'waiting for other runs of the corpus' && flock 7; }
	shift
	"$@"
	flock --unlock 7
}

fetch() {
	in_namespace "$CORPUS/run" --in-namespace fetch_rows "$@" >"$CORPUS_OUT/fetch.log" 2>&1 ||
		die "could not fetch ${*:-the packages} (log: $CORPUS_OUT/fetch.log)"
}

make_root() {
	timed 'corpus root' in_namespace "$CORPUS/run" --in-namespace make_corpus_root >"$CORPUS_OUT/root.log" 2>&1 ||
		die "could not make the root (log: $CORPUS_OUT/root.log)"
	rm -rf --one-file-system "$CORPUS_CACHE/root"
	mv "$CORPUS_CACHE/root.new" "$CORPUS_CACHE/root"
	root_inputs >"$CORPUS_CACHE/root.stamp"
}

root_inputs() { { build_dependencies; corpus_kernels; declare -f apt_root make_corpus_root; } | sha256sum; }

# make_ready: fetches and makes what is missing; then nobody changes it while this run lasts.
make_ready() {
	local row missing=()
	for row in "${rows[@]}" $(for row in "${rows[@]}"; do needs_of "$row"; done); do
		deb_of "$row" >/dev/null || missing+=("$row")
	done
	[ "${#missing[@]}" = 0 ] || alone fetch.lock fetch "${missing[@]}"
	[ "$(cat "$CORPUS_CACHE/root.stamp" 2>/dev/null)" = "$(root_inputs)" ] || alone lock make_root
	exec 7>"$CORPUS_CACHE/lock"
	flock --shared 7
}
