# shellcheck shell=bash
# One row with one version of pacman. What rows may set and say is in tests/lab/lib/row.sh, whose
# checks these are; here a row also sets
#   ON      the versions that it is run with ("7.0", trixie's; "7.1", sid's)
#   BROKEN  files that `pacman -Qkk` may complain of, as an extended regular expression
# A row's full name is ROW@VERSION.

# load_row NAME@VERSION: in the caller's shell.
load_row() {
	row_defaults
	ON=7.0 BROKEN='' SECONDS_LIMIT=240
	load_kernels
	. "$PACMAN_LAB/rows/${1%@*}"
	case ${1##*@} in 7.0) SUITE=trixie ;; 7.1) SUITE=sid ;; *) die "no such pacman: $1" ;; esac
	TITLE="$TITLE (pacman ${1##*@})"
}

# all_rows: each row with each of its versions.
all_rows() {
	local row one
	for row in "$PACMAN_LAB"/rows/*; do
		load_row "${row##*/}@7.0"
		for one in $ON; do printf '%s@%s\n' "${row##*/}" "$one"; done
	done
}

# pac ARGUMENT…: pacman; it has to succeed.
pac() { pac_with 0 "$@"; }

# pac_with STATUS ARGUMENT…
pac_with() {
	local status=$1
	shift
	does_with "$status" pacman --noconfirm "$@"
}

# pac_from AREA ARGUMENT…: with another repository before main.
pac_from() {
	local area=$1
	shift
	pac --config "/etc/pacman-$area.conf" "$@"
}

# pkgs AREA PACKAGE…: paths, inside the root, of packages of the lab's repository.
pkgs() {
	local area=$1 name
	shift
	for name; do (cd "$root" && printf '/%s\n' srv/lab/"$area/$name"-[0-9]*.pkg.tar.zst); done
}

# What a hook of ours says of itself in pacman's output; none of them may have run.
no_hook_of_ours() { says_not 'modules in line|initramfs older|headers of new kernels|dkms'; }

# pacman's database: nothing is missing from it, and the files are as they were packed.
check_packages() {
	local text
	text=$(in_root "$root" pacman -Dk 2>&1 | grep -v '^No database errors')
	[ -z "$text" ] || fault "pacman -Dk: $(head -n 3 <<<"$text" | tr '\n' ' ')"
	text=$(in_root "$root" pacman -Qkk 2>&1 | grep -E '^warning|^error|[1-9][0-9]* altered' |
		grep -vE "no mtree file|no package found|^backup file|${BROKEN:-^$}")
	[ -z "$text" ] || fault "pacman -Qkk: $(head -n 3 <<<"$text" | tr '\n' ' ')"
	holds test ! -e "$root/var/lib/pacman/db.lck"
}

# kernels_present: releases with an image.
kernels_present() {
	local image
	for image in "$root"/usr/lib/modules/*/vmlinuz; do
		[ -e "$image" ] || continue
		image=${image%/vmlinuz}
		printf '%s\n' "${image##*/}"
	done
}

# leftovers KERNEL: everything that still names a kernel that should be gone. The cache of builds keeps them on purpose.
leftovers() {
	find "$root/usr/lib/modules" "$root/boot" "$root/usr/src" "$root/var/lib/dkms" -name "*$1*" 2>/dev/null | grep -v '/\.dkms-hook/cache/' | sed "s|^$root||"
	if [ -d "$root/var/lib/dkms" ]; then
		grep -rlF --exclude-dir=cache -- "$1" "$root/var/lib/dkms" 2>/dev/null | sed "s|^$root||; s|$| (text)|"
	fi
}
