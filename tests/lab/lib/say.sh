# shellcheck shell=bash
# What the lab says to the person who runs it.

say() { printf '%s\n' "$*" >&2; }

step() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }

die() {
	printf 'lab: %s\n' "$*" >&2
	exit 1
}

# timed LABEL COMMAND…: runs it and says how many seconds it took.
timed() {
	local label=$1 began=$SECONDS status=0
	shift
	"$@" || status=$?
	say "    $label: $((SECONDS - began)) s"
	return "$status"
}
