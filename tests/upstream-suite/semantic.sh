# shellcheck shell=bash
# Runs DKMS's run_test.sh so that it goes on after a fault and compares what programs depend on: exit codes,
# `status` lines, files. In the lab's root: bash semantic.sh SUITE/run_test.sh [PART]
# Faults go to /root/faults, one a line, each step that was compared to /root/steps.

: >/root/faults
: >/root/steps
export LC_ALL=C.UTF-8

# where: the line of the suite that called the function that asks.
where() {
	local frame
	for frame in "${!BASH_SOURCE[@]}"; do
		[[ ${BASH_SOURCE[frame]} == *run_test.sh ]] || continue
		# In a function of the suite: who called it.
		[ "${FUNCNAME[frame]}" = source ] || continue
		printf '%s' "${BASH_LINENO[frame - 1]}"
		return
	done
}

fault() { printf '%s: %s\n' "$(where)" "$*" | tee -a /root/faults; }
step() { printf '%s: %s\n' "$(where)" "$*" >>/root/steps; }

run_with_expected_error() {
	local wanted=$1 got=0
	shift
	# The message that the suite wants.
	cat >/root/wanted
	step "$@"
	"$@" >/root/said 2>&1 </dev/null || got=$?
	printf -- '----- %s: %s [%s]\n' "$(where)" "$*" "$got"
	cat /root/said
	[ "$got" = "$wanted" ] || fault "exit $got, not $wanted: $*"
	# What others read word for word.
	case "$*" in
	'dkms status'* | 'dkms --version' | 'sh -c '*) diff -U0 /root/wanted /root/said || fault "output: ${*%%;*}" ;;
	esac
}
run_with_expected_output() { run_with_expected_error 0 "$@"; }
run_status_with_expected_output() {
	cat >/root/wanted
	step "status of $1"
	dkms status 2>&1 | grep "^$1/" >/root/said
	diff -U0 /root/wanted /root/said || fault "status of $1: $(tr '\n' ';' </root/said)"
}
# What make.log says is the words of a message.
check_make_log_content() {
	cat >/root/wanted
	step "log $1"
	[ -s "$1" ] || fault "no log $1"
}
# The suite ends at its first fault. Here it goes on.
exit() { fault "a check ended with ${1:-$?}"; }
set() { :; }
readonly -f run_with_expected_error run_with_expected_output run_status_with_expected_output \
	check_make_log_content exit set

suite=$1
shift
cd "${suite%/*}" || builtin exit 1
cd() { :; }
. "$suite" "$@" 2> >(grep -v ': readonly function$' >&2)
