#!/bin/bash
# Expected: AbortOnFail in a hook of pacman makes its failure the transaction's.
# Happens:  after the transaction (When = PostTransaction) a failing hook, one whose program cannot be run, and one with
#           AbortOnFail are all the same: a message, the packages are installed, and pacman ends with 0. So a script
#           that asks pacman's status believes that the initramfs was made. Before the transaction it is 1.
# Versions: pacman 7.0.0-1+b1 (trixie).
# Seen:     PostTransaction: 0, "error: command failed to execute correctly"; PreTransaction with AbortOnFail: 1.
. "$(dirname "$0")/lib.sh"
root=$work/root
pacman_root "$root"
pacman_package "$root" p 1 usr/lib/demo/file
hook() { pacman_hook "$root" x Install "$1" 'usr/lib/demo/*' "$2" "$3"; }
install_p() {
	rm -rf "$root/var/lib/pacman/local" "$root/usr/lib/demo"
	local status installed
	status=$(status_of in_root "$root" pacman -U --noconfirm /tmp/p-1.pkg.tar)
	[ -e "$root/usr/lib/demo/file" ] && installed=installed || installed='not installed'
	echo "status $status, $installed, $(grep -c '^error:' "$work/out") errors"
}
hook PostTransaction /usr/bin/true ''
expect "a good hook afterwards" "status 0, installed, 0 errors" "$(install_p)"
hook PostTransaction /usr/bin/false ''
expect "a failing hook afterwards" "status 0, installed, 1 errors" "$(install_p)"
hook PostTransaction /usr/bin/false AbortOnFail
expect "a failing hook afterwards with AbortOnFail" "status 0, installed, 1 errors" "$(install_p)"
hook PostTransaction /usr/bin/nonesuch ''
expect "a missing program afterwards" "status 0, installed, 1 errors" "$(install_p)"
hook PreTransaction /usr/bin/false AbortOnFail
expect "a failing hook before with AbortOnFail" "status 1, not installed, 2 errors" "$(install_p)"
as_found "no hook after the transaction changes pacman's status 0, with AbortOnFail or without"
