# shellcheck shell=bash
# The queue: which jobs there are, and running them.
#
# A job has a name (RING/…), a ring that its seconds are added up in, the selections that it is part of,
# the jobs that it needs, and a command. Its state is one of: waiting, running, ok, failed, skipped.

declare -A job_ring job_sets job_needs job_command job_stage job_seconds job_way job_state job_why
jobs_known=() jobs_chosen=()
export BEGAN=${BEGAN:-$EPOCHSECONDS}

# job NAME RING SETS NEEDS COMMAND…: registers it. SETS and NEEDS are words in one argument.
job() {
	local name=$1
	jobs_known+=("$name")
	job_ring[$name]=$2 job_sets[$name]=$3 job_needs[$name]=$4
	shift 4
	job_command[$name]=$*
}

log_of() { printf 'target/test-logs/%s.log' "${1//\//-}"; }

# counts LOG STATUS RING: "passed failed skipped" of a job that ended.
# Lines that count: "test result: ok. 5 passed; 0 failed; 1 ignored; …" and "5 passed, 0 failed, 1 skipped".
counts() {
	local p f s
	read -r p f s < <(awk '
		/^test result: / { p += $4; f += $6; s += $8 }
		/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
		END { print p + 0, f + 0, s + 0 }' "$1")
	# It failed without saying what: not even started, or stopped half-way.
	[ "$2" = 0 ] || [ "$f" != 0 ] || f=1
	# What others wait for is no proof of its own.
	[ "$p$f$s" != 000 ] || [ "$3" = setup ] || p=1
	echo "$p $f $s"
}

# ready: sets next to the job that is to run next; fails when none can.
ready() {
	local name need
	for name in "${jobs_chosen[@]}"; do
		[ "${job_state[$name]}" = waiting ] || continue
		for need in ${job_needs[$name]}; do
			case ${job_state[$need]} in
			ok) ;;
			failed | skipped)
				# Of what only others wait for, they will say it themselves.
				[ "${job_ring[$name]}" != setup ] || sum_failed[$name]=0 sum_skipped[$name]=0
				end_job "$name" "${job_state[$need]}" 0 "$need ${job_state[$need]}"
				continue 2
				;;
			*) continue 2 ;;
			esac
		done
		next=$name
		return
	done
	return 1
}

# end_job NAME STATE SECONDS [WHY]: notes and says how it ended.
end_job() {
	job_state[$1]=$2
	job_why[$1]=${4:-}
	took[$1]=$3
	printf '%-8s %4s s  %s%s\n' "$2" "$3" "$1" "${4:+: $4}"
	case $2 in
	ok) [ "$3" = 0 ] || keep_seconds "$1" "$3" ;;
	failed)
		sum_failed[$1]=${sum_failed[$1]:-1}
		[ -n "${4:-}" ] || sed 's/^/              /' < <(tail -n "${LINES_OF_A_FAILURE:-40}" "$(log_of "$1")")
		;;
	skipped) sum_skipped[$1]=${sum_skipped[$1]:-1} ;;
	esac
}

# run_queue: until nothing can run any more.
declare -A sum_passed sum_failed sum_skipped took pid_of
run_queue() {
	local next pid name status running=0 p f s
	declare -A started name_of
	for name in "${jobs_chosen[@]}"; do
		[ "${job_state[$name]}" != skipped ] || end_job "$name" skipped 0 "${job_why[$name]}"
	done
	while :; do
		while [ "$running" -lt "$slots" ] && ready; do
			job_state[$next]=running
			bash -c "${job_command[$next]}" >"$(log_of "$next")" 2>&1 </dev/null &
			name_of[$!]=$next started[$next]=$SECONDS running=$((running + 1))
		done
		[ "$running" -gt 0 ] || break
		status=0
		wait -n -p pid || status=$?
		[ -n "${name_of[${pid:-}]:-}" ] || continue
		name=${name_of[$pid]} running=$((running - 1))
		read -r p f s < <(counts "$(log_of "$name")" "$status" "${job_ring[$name]}")
		sum_passed[$name]=$p sum_failed[$name]=$f sum_skipped[$name]=$s
		if [ "$f" != 0 ]; then state=failed; elif [ "$p" = 0 ] && [ "$s" != 0 ]; then state=skipped; else state=ok; fi
		end_job "$name" "$state" "$((SECONDS - started[$name]))"
	done
	for name in "${jobs_chosen[@]}"; do
		[ "${job_state[$name]}" != waiting ] || end_job "$name" failed 0 "waits for something that waits for it"
	done
}

# --- what jobs took

seconds_file() { printf '%s/seconds' "${DKMS_HOOK_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/dkms-hook/lab}"; }

# keep_seconds NAME SECONDS: for the order of the next run. Nobody minds when it cannot be kept.
keep_seconds() {
	local file
	file=$(seconds_file)
	[ -w "${file%/*}" ] || return 0
	(flock 6 && { grep -vF -- "$1 " "$file"; echo "$1 $2"; } >"$file.new" && mv "$file.new" "$file") \
		6>"$file.lock" 2>/dev/null || true
}

# estimate: how long each job will take, how much waits for it, and the order that follows.
estimate() {
	local name need seconds i
	declare -gA job_way=()
	while read -r name seconds; do
		[ -z "${job_ring[$name]:-}" ] || job_seconds[$name]=$seconds
	done < <(grep -v '^#' tests/queue/seconds; cat "$(seconds_file)" 2>/dev/null)
	for name in "${jobs_chosen[@]}"; do job_way[$name]=${job_seconds[$name]:-10}; done
	# From the last to the first: whoever is needed was registered before.
	for ((i = ${#jobs_known[@]} - 1; i >= 0; i--)); do
		name=${jobs_known[i]}
		[ -n "${job_way[$name]:-}" ] || continue
		for need in ${job_needs[$name]}; do
			seconds=$((${job_seconds[$need]:-10} + job_way[$name]))
			[ "$seconds" -le "${job_way[$need]:-0}" ] || job_way[$need]=$seconds
		done
	done
	mapfile -t jobs_chosen < <(for name in "${jobs_chosen[@]}"; do
		echo "${job_stage[$name]} ${job_way[$name]} $name"
	done | sort -k1,1n -k2,2nr -k3 | cut -d' ' -f3)
}
