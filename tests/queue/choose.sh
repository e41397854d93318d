# shellcheck shell=bash
# Which of the jobs run.

# choose WHAT…: sets jobs_chosen, with everything that they need.
choose() {
	local what name stage=0 found
	declare -gA job_stage=() job_state=() job_why=()
	for what; do
		found=
		for name in "${jobs_known[@]}"; do
			# shellcheck disable=SC2053 # a pattern
			if [[ " ${job_sets[$name]} " == *" $what "* ]] || [[ $name == $what ]]; then
				found=yes
				take "$name" "$stage"
			fi
		done
		[ -n "$found" ] || { echo "tests/run: no job is called $what (see --list)" >&2 && return 1; }
		stage=$((stage + 1))
	done
}

# take NAME STAGE: it, and what it needs.
take() {
	local need
	[ -z "${job_stage[$1]:-}" ] || return 0
	job_stage[$1]=$2 job_state[$1]=waiting
	jobs_chosen+=("$1")
	for need in ${job_needs[$1]}; do take "$need" "$2"; done
}

# list_jobs [WHAT…]: names, and the selections that each is part of.
list_jobs() {
	local name
	[ $# = 0 ] || { choose "$@" || return; }
	for name in "${jobs_known[@]}"; do
		[ $# = 0 ] || [ -n "${job_stage[$name]:-}" ] || continue
		printf '%-44s %s\n' "$name" "${job_sets[$name]}"
	done
}

# in_roots NAME: it makes throw-away roots, for which it needs to be root, and namespaces.
in_roots() {
	case ${job_ring[$1]} in rust | lint) return 1 ;; esac
	case $1 in build/* | setup/conf-corpus) return 1 ;; esac
}

any_in_roots() {
	local name
	for name in "${jobs_chosen[@]}"; do
		! in_roots "$name" || [ "${job_state[$name]}" = skipped ] || return 0
	done
	return 1
}

# leave_out NAME REASON: counted as skipped.
leave_out() { job_state[$1]=skipped job_why[$1]=$2; }

# leave_out_what_cannot_run: where this machine lacks something, which is installed if it may be.
leave_out_what_cannot_run() {
	local name reason='' missing
	any_in_roots || return 0
	missing=$(scripts/needed)
	if [ "$(id -u)" != 0 ]; then
		reason='it needs root for its throw-away Debian roots'
	elif [ -n "$missing" ]; then
		reason="it needs $missing"
	elif ! unshare --mount --pid --fork true 2>/dev/null; then
		reason='this machine allows no mount namespaces (in a container: run it privileged)'
	fi
	[ -n "$reason" ] || return 0
	for name in "${jobs_chosen[@]}"; do ! in_roots "$name" || leave_out "$name" "$reason"; done
}

# hold_the_cache: until this run ends no other one changes the caches of the labs. Where something is
# missing or stale this run changes them, and no other one may read them meanwhile.
hold_the_cache() {
	local cache stale
	cache=$(dirname "$(seconds_file)")
	mkdir -p "$cache"/{rpm,pacman}
	exec 8>"$cache/lock" 5>"$cache/rpm/lock" 4>"$cache/pacman/lock"
	export LAB_LOCKED=yes
	stale=$(LAB_ASK=yes stale_setups)
	local how=--shared file
	[ -z "$stale" ] || how=--exclusive
	for file in 8 5 4; do
		flock --nonblock $how $file || { echo 'waiting for other runs of the labs to end' && flock $how $file; }
	done
}

# stale_setups: those of the chosen setups that have something to do.
stale_setups() {
	local name
	for name in "${jobs_chosen[@]}"; do
		case $name in
		setup/apt/* | setup/rpm/* | setup/pacman/*) bash -c "${job_command[$name]}" >/dev/null 2>&1 || echo "$name" ;;
		esac
	done
}

# scratch: files in memory for everything that the labs make and throw away. In a namespace of our own.
scratch() {
	local cache dir
	cache=$(dirname "$(seconds_file)")
	for dir in "$cache" "$cache/rpm" "$cache/pacman"; do
		mkdir -p "$dir/mnt"
		mount -t tmpfs -o size=85%,mode=755 lab "$dir/mnt"
	done
}
