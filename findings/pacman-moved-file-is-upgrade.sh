#!/bin/bash
# Expected: when a file moves from one package to another within one transaction, hooks see a removal and an installation.
# Happens:  they see Upgrade of that path, before and after; hooks for Install or Remove of it are not run at all. A kernel
#           package that is split in two never "installs" its vmlinuz.
# Versions: pacman 7.0.0-1+b1 (trixie).
# Seen:     kernel 1 with the file, then kernel 2 without and image 1 with it: Upgrade; then both removed: Remove.
. "$(dirname "$0")/lib.sh"
root=$work/root
pacman_root "$root"
file=usr/lib/demo/vmlinuz
pacman_package "$root" kernel 1 usr/lib/demo/of-kernel $file
pacman_package "$root" kernel 2 usr/lib/demo/of-kernel
pacman_package "$root" image 1 $file
for operation in Install Upgrade Remove; do
	for when in Pre Post; do
		pacman_hook "$root" $operation$when $operation ${when}Transaction $file \
			"/usr/bin/sh -c \"echo $when$operation >>/tmp/ran\""
	done
done
ran() {
	: >"$root/tmp/ran"
	expect "status of pacman $*" 0 "$(status_of in_root "$root" pacman --noconfirm "$@")"
	xargs <"$root/tmp/ran"
}
expect "kernel 1 comes" "PreInstall PostInstall" "$(ran -U /tmp/kernel-1.pkg.tar)"
expect "its file moves" "PreUpgrade PostUpgrade" "$(ran -U /tmp/kernel-2.pkg.tar /tmp/image-1.pkg.tar)"
expect "whose file it is now" "image 1-1" "$(in_root "$root" pacman -Qo /usr/lib/demo/vmlinuz | sed 's/.* by //')"
expect "both go" "PreRemove PostRemove" "$(ran -R kernel image)"
as_found "a file that moves between two packages is an Upgrade for pacman's hooks, no Install and no Remove"
