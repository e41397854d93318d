# shellcheck shell=bash
# Every job there is. Whoever is needed by others is registered before them.

all_jobs() {
	rust_jobs
	package_jobs
	lab_jobs
	differential_jobs
	corpus_jobs
}

# --- rings 1 and 2: any user

rust_jobs() {
	local name
	job build/tests setup 'check test ci all' '' tests/queue/programs build
	job setup/conf-corpus setup 'test ci all' '' tests/setup/conf-corpus.sh
	job lint/format lint 'check ci all' '' 'cargo fmt --check'
	# After building: cargo does one thing at a time in a directory.
	job lint/clippy lint 'check ci all' build/tests 'cargo clippy --locked --all-targets -- -D warnings'
	for name in unit $(tests/queue/programs names); do
		case $name in
		conf_corpus)
			job "rust/$name" rust 'test ci all' 'build/tests setup/conf-corpus' "tests/queue/programs run $name"
			;;
		# A sample; every point takes longer than all other tests of this ring.
		sweep) job rust/sweep rust 'test ci' build/tests 'tests/queue/programs run sweep --test-threads 1' ;;
		*) job "rust/$name" rust 'check test ci all' build/tests "tests/queue/programs run $name" ;;
		esac
	done
	job rust/sweep-every rust all build/tests 'tests/queue/programs run sweep --every'
	job rust/races rust all build/tests 'RACES=100 tests/queue/programs run fake_root crowd::'
}

# --- packages, and what needs root

package_jobs() {
	local suite
	job build/program setup 'test ci all' '' '"${MAKE:-make}" build'
	job build/package-checker rust 'test ci all' build/tests \
		'cargo test --locked --no-fail-fast --features packaging --lib packaging::'
	build_job deb "${DKMS_HOOK_DEB:-}" build/package-checker
	build_job rpm "${DKMS_HOOK_RPMS:-}"
	build_job pacman "${DKMS_HOOK_PKG:-}"
	job package/trixie package 'test ci all' build/deb tests/package/run trixie
	for suite in bookworm sid; do job "package/$suite" package 'ci all' build/deb tests/package/run "$suite"; done
	job packages/rebuild packages 'ci all' build/rpm tests/rpm/rebuild
}

# build_job KIND GIVEN [NEEDS]: the package of this checkout, unless the caller named one to test.
build_job() {
	if [ -n "$2" ]; then
		# Several paths are words.
		# shellcheck disable=SC2086
		job "build/$1" packages '' '' ls $2
	else
		job "build/$1" packages 'test ci all' "build/program ${3:-}" "\"\${MAKE:-make}\" $1"
	fi
}

# --- the labs: rows of three package managers, with ours and with dkms in our place

build_of() { case $1 in apt) echo build/deb ;; *) echo "build/$1" ;; esac; }

lab_jobs() {
	local lab suite layer below rows
	for suite in trixie sid; do
		job "setup/apt/$suite" setup '' '' tests/lab/setup "$suite"
	done
	for lab in rpm pacman; do
		job "setup/$lab/trixie" setup '' setup/apt/trixie "tests/$lab/setup" trixie
		job "setup/$lab/sid" setup '' "setup/$lab/trixie" "tests/$lab/setup" sid
	done
	rows=$(for lab in apt rpm pacman; do tests/lab/inside $lab row_facts | sed "s/^/$lab /"; done)
	layer_jobs ''
	row_jobs '' <<<"$rows"
	layer_jobs -with-dkms
	row_jobs -with-dkms <<<"$rows"
}

# layer_jobs -with-dkms|'': the states that rows start from. Their command knows which one is below.
layer_jobs() {
	local lab suite layer needs
	for lab in apt rpm pacman; do
		for suite in trixie sid; do
			needs="setup/$lab/$suite"
			[ -n "$1" ] || needs+=" $(build_of $lab)"
			# What needs nothing of ours still needs the package that it installs later.
			job "layer/$lab$1/$suite/bare" setup '' "$needs" true
			for layer in ready dracut one; do
				case $lab/$suite/$layer in
				apt/*/dracut | rpm/*/dracut | apt/sid/one) continue ;;
				*/one) needs="layer/$lab$1/$suite/ready" ;;
				*) needs="layer/$lab$1/$suite/bare" ;;
				esac
				job "layer/$lab$1/$suite/$layer" setup '' "$needs" tests/lab/inside "$lab$1" fill "$suite" "$layer"
			done
		done
	done
}

# row_jobs -with-dkms|'': of "lab row suite layer beyond" lines.
row_jobs() {
	local lab row suite layer beyond sets
	while read -r lab row suite layer beyond; do
		case $1$beyond in -with-dkms-) ;; esac
		sets=$(sets_of "$lab$1/$row")
		job "$lab$1/$row" "$lab$1" "$sets" "layer/$lab$1/$suite/$layer" tests/lab/inside "$lab$1" one "$row"
	done
}

# sets_of LAB/ROW[@MANAGER]: `test` if tests/queue/test names it, `ci` if it has its turn there.
sets_of() {
	case $1 in
	*-with-dkms/*) ! named "$1" ci || echo 'ci all' ;;
	*)
		! named "$1" test || echo test
		if named "$1" test || named "$1" ci || has_its_turn "$1"; then echo ci; fi
		echo all
		;;
	esac | paste -sd' '
}

# named JOB SET: a line of tests/queue/rows says so.
named() { grep -qxF -- "$2 $1" tests/queue/rows; }

# has_its_turn LAB/ROW@MANAGER: of the managers of a row one, another one with another commit.
has_its_turn() {
	local row=${1%@*} managers
	[ "$row" != "$1" ] || return 0
	managers=($(sed -n "s|^${row%%/*} ${row#*/}@\([^ ]*\) .*|\1|p" <<<"$rows"))
	[ "${managers[$(turn "$row" ${#managers[@]})]}" = "${1##*@}" ]
}

# turn ROW COUNT: which of them.
turn() {
	COMMIT=${COMMIT:-$(git rev-parse HEAD 2>/dev/null || echo none)}
	echo $((0x$(sha256sum <<<"$COMMIT $1" | cut -c1-7) % $2))
}

# --- both tools side by side

differential_jobs() {
	local group name
	job differential/world setup '' 'build/deb setup/apt/trixie' tests/differential/run --part world
	while read -r group name; do
		job "differential/$group/$name" differential 'ci all' differential/world \
			tests/differential/run --part scenario "$group" "$name"
	done < <(tests/differential/run --list)
}

corpus_jobs() {
	local row
	job corpus/tools setup '' 'build/deb setup/apt/trixie' tests/corpus/run --part prepare
	for row in $(sed -n 's/^\([^# ]*\) ci.*/\1/p' tests/corpus/packages); do
		job "corpus/$row" corpus 'ci all' corpus/tools tests/corpus/run --part dozen_row "$row"
	done
}
