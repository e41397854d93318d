#!/bin/bash
# Expected: ninja, which obeys make's job server since 1.13, runs two jobs below `make -j2` and one below `make -j1`.
# Happens:  make sets up a server for -j2 and more only; -j1 reaches ninja as a plain word in MAKEFLAGS, which it does
#           not read, so it takes all processors. The way to build with less memory is the one with the most jobs.
# Versions: ninja 1.13.0 (the Python package), make 4.4.1-2 (trixie).
# Seen:     most jobs at once: -j2: 2; -j1: 3 or more (number of processors + 2).
. "$(dirname "$0")/lib.sh"
needs python3
root_of "$work/root" trixie make=4.4.1-2 dash busybox-static libstdc++6
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" ninja==1.13.0 >"$work/pip" 2>&1 ||
	skip "NO LONGER TO BE HAD: ninja==1.13.0: $(tail -n 1 "$work/pip")"
python3 -m zipfile -e "$work"/ninja-*.whl "$work/wheel"
install -m 755 "$work"/wheel/ninja-*.data/scripts/ninja "$work/root/usr/bin/ninja"
# A job notes how many have started, waits until a third one has or three seconds are over, and ends.
cat >"$work/root/tmp/job" <<'JOB'
: >/tmp/on-$1
for _ in $(seq 30); do
	ls /tmp/on-* | wc -l >>/tmp/seen
	[ "$(ls /tmp/on-* | wc -l)" -lt 3 ] || break
	sleep 0.1
done
rm /tmp/on-$1
JOB
# shellcheck disable=SC2016 # ninja's words
{
	printf 'rule r\n  command = sh /tmp/job $out\n'
	printf 'build %s: r\n' a b c d
} >"$work/root/tmp/build.ninja"
printf 'all:\n\t+ninja -C /tmp\n' >"$work/root/tmp/Makefile"
most() {
	rm -f "$work/root"/tmp/seen
	in_root "$work/root" make -s -f /tmp/Makefile "$@" >"$work/out" 2>&1
	sort -n "$work/root/tmp/seen" | tail -n 1
}
expect "most jobs at once below make -j2" 2 "$(most -j2)"
expect "most jobs at once below make -j1" 3 "$(most -j1)"
as_found "ninja below make -j2 runs 2 jobs at once, below make -j1 as many as it likes"
