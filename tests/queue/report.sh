# shellcheck shell=bash
# What came of it.

# summary: seconds and counts of each ring, then of everything.
summary() {
	local name ring passed=0 failed=0 skipped=0 without=() lab
	declare -A p f s seconds jobs
	for name in "${jobs_chosen[@]}"; do
		ring=${job_ring[$name]}
		jobs[$ring]=$((${jobs[$ring]:-0} + 1)) seconds[$ring]=$((${seconds[$ring]:-0} + ${took[$name]:-0}))
		p[$ring]=$((${p[$ring]:-0} + ${sum_passed[$name]:-0}))
		f[$ring]=$((${f[$ring]:-0} + ${sum_failed[$name]:-0}))
		s[$ring]=$((${s[$ring]:-0} + ${sum_skipped[$name]:-0}))
	done
	for lab in apt rpm pacman; do [ -z "${jobs[$lab]:-}" ] || tests/lab/inside $lab write_table; done
	[ -z "${jobs[differential]:-}" ] || {
		printf '| scenario | steps | declared differences | others |\n|---|---|---|---|\n'
		cat target/differential/*/table.md
	} >target/differential/table.md
	echo
	for ring in $(printf '%s\n' "${!jobs[@]}" | sort); do
		printf '%-24s %5s s  %4s jobs  %5s passed  %3s failed  %3s skipped\n' "$ring" "${seconds[$ring]}" \
			"${jobs[$ring]}" "${p[$ring]}" "${f[$ring]}" "${s[$ring]}"
		passed=$((passed + p[$ring])) failed=$((failed + f[$ring]))
		if [ "$((p[$ring] + f[$ring]))" = 0 ] && [ "${s[$ring]}" -gt 0 ]; then
			# Not begun: what it would have had in it is not known.
			without+=("$ring") skipped=$((skipped + 1))
		else
			skipped=$((skipped + s[$ring]))
		fi
	done
	echo "seconds are those of jobs, $slots at once; all in all it took $((EPOCHSECONDS - BEGAN)) s"
	for name in "${jobs_chosen[@]}"; do
		[ "${job_state[$name]}" = failed ] && [ -z "${job_why[$name]}" ] || continue
		echo "FAILED: $name (log: $(log_of "$name"))"
	done
	if [ ${#without[@]} -gt 0 ]; then
		printf 'SKIPPED: %s\n' "${without[@]}" >&2
		# A skipped ring must not look like a tested one where nobody reads the output.
		[ "${CI:-}" != true ] || failed=$((failed + ${#without[@]}))
	fi
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}
