#!/bin/bash
# Expected: APT::NeverAutoRemove "^linux-image-6.12.40+deb13-amd64$" keeps the package of that name.
# Happens:  it is an extended regular expression, in which "0+" is one or more noughts: it matches no package, apt says
#           nothing, and the kernel is removed. All of Debian 13's kernel packages have a "+" in their names. "[+]" matches.
# Versions: apt 3.0.4 (trixie).
# Seen:     with "+": removed: linux-image-6.12.40+deb13-amd64, no warning; with "[+]": nothing removed.
. "$(dirname "$0")/lib.sh"
root=$work/root
root_of "$root" trixie apt=3.0.4 dpkg dash busybox-static
mkdir -p "$root"/var/lib/apt/lists/partial "$root"/var/lib/dpkg "$root"/var/cache/apt/archives/partial "$root/etc/apt/apt.conf.d"
: >"$root/var/lib/dpkg/status"
: >"$root/var/lib/apt/extended_states"
for abi in 40 41 42; do
	name=linux-image-6.12.$abi+deb13-amd64
	printf '%s\n' "Package: $name" 'Status: install ok installed' 'Architecture: amd64' "Version: 6.12.$abi-1" \
		'Maintainer: A <a@example.org>' 'Description: kernel' '' >>"$root/var/lib/dpkg/status"
	printf 'Package: %s\nArchitecture: amd64\nAuto-Installed: 1\n\n' "$name" >>"$root/var/lib/apt/extended_states"
done
removed() { in_root "$root" apt-get -s autoremove 2>"$work/err" | sed -n 's/^Remv \([^ ]*\).*/\1/p' | sort | xargs; }
keep() { printf 'APT::NeverAutoRemove:: "%s";\n' "$1" >"$root/etc/apt/apt.conf.d/90keep"; }
old=linux-image-6.12.40+deb13-amd64
expect "without a rule" "$old" "$(removed)"
keep '^linux-image-6.12.40+deb13-amd64$'
expect "with its name as the expression" "$old" "$(removed)"
expect "warnings" "" "$(cat "$work/err")"
keep '^linux-image-6[.]12[.]40[+]deb13-amd64$'
expect "with the + in brackets" "" "$(removed)"
as_found "a kernel named in NeverAutoRemove is removed all the same, for the + in its name"
