# shellcheck shell=bash
# The plans of a row against what was done: each step ended as it can end, no module was built and no module
# file was put in place that no plan announced. What was done comes from the lab's own counters.

# check_trace: for our program only; Debian's dkms makes no plans. A row that builds by itself, or runs the
# program where its plans cannot be read, names those builds in UNPLANNED, in the form of BUILDS.
check_trace() {
	local trace=$root/var/log/lab/trace told='' line module times planned name
	[ "$LAB_UNDER_TEST" != dkms ] || return 0
	# A row in which the program had nothing to do leaves none.
	if [ -s "$trace" ]; then
		told=$(jq -rs -f "$LAB/lib/trace.jq" "$trace" 2>&1) || {
			fault "the trace cannot be read: $told"
			return
		}
	fi
	while read -r line; do fault "plan and deed: $line"; done < <(sed -n 's/^fault //p' <<<"$told")
	while IFS='=' read -r module times; do
		[[ " $UNPLANNED " != *" $module=$times "* ]] || continue
		planned=$(grep -F -- "built $module=" <<<"$told" | cut -d= -f2)
		[ "${planned:-0}" -ge "$times" ] || fault "built $times times, planned ${planned:-0} times: $module"
	done < <(builds)
	while read -r name; do
		case $name in '' | -*) continue ;; esac
		[[ " $UNPLANNED " == *" $name="* ]] || grep -qxF -- "changed ${name##*@}" <<<"$told" ||
			fault "module file touched, and no plan said so: $name"
	done <<<"$changed"
}
