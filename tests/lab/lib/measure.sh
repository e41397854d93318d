# shellcheck shell=bash
# What a row measures in its root ($root). Names are "module@kernel".

# module_files: "path sha256 mtime" of every module outside kernel/, sorted.
module_files() {
	find "$root"/lib/modules/*/ -name '*.ko*' ! -path '*/kernel/*' -type f 2>/dev/null | sort |
		while read -r path; do
			printf '%s %s %s\n' "${path#"$root"/lib/modules/}" \
				"$(sha256sum <"$path" | cut -c1-16)" "$(stat -c %Y.%y "$path" | tr ' ' '_')"
		done
}

# names_of: the "path …" lines on stdin as module@kernel.
names_of() {
	local path rest name
	while read -r path rest; do
		name=${path##*/}
		printf '%s@%s\n' "${name%%.ko*}" "${path%%/*}"
	done | sort -u
}

# changed_files BEFORE AFTER: module@kernel of every file that is new or different, and with a
# leading "-" of every file that is gone.
changed_files() {
	comm -13 "$1" "$2" | names_of
	comm -23 <(cut -d' ' -f1 "$1") <(cut -d' ' -f1 "$2") | names_of | sed 's/^/-/'
}

# builds: "module@kernel=times" of each build that ran since the counter was reset.
builds() {
	sed -n 's/ build$//p' "$root/var/log/lab/make.log" 2>/dev/null | sort | uniq -c |
		while read -r times module kernel; do printf '%s@%s=%s\n' "${module%%/*}" "$kernel" "$times"; done
}

# images_made: how often initramfs-tools generated an image since the counter was reset.
images_made() { sed -n '$=' "$root/var/log/lab/initramfs.log" 2>/dev/null || echo 0; }

reset_counters() { rm -f "$root"/var/log/lab/*; }

# kernels_present: releases with modules on disk whose image package is (still) installed.
kernels_present() {
	local tree
	for tree in "$root"/lib/modules/*/kernel; do
		[ -d "$tree" ] || continue
		tree=${tree%/kernel}
		if [ -e "$root/boot/vmlinuz-${tree##*/}" ] || [ -e "$tree/vmlinuz" ]; then
			printf '%s\n' "${tree##*/}"
		fi
	done
}

# leftovers KERNEL: everything that still names a kernel that should be gone. The cache of builds keeps them on purpose.
leftovers() {
	find "$root/lib/modules" "$root/boot" "$root/usr/src" "$root/var/lib/dkms" \
		"$root/var/lib/initramfs-tools" -name "*$1*" 2>/dev/null | grep -v '/\.dkms-hook/cache/' | sed "s|^$root||"
	if [ -d "$root/var/lib/dkms" ]; then
		grep -rlF --exclude-dir=cache -- "$1" "$root/var/lib/dkms" 2>/dev/null | sed "s|^$root||; s|$| (text)|"
	fi
}

# What stands in for make notes each build outside of the build's directory, so builds are not confined here. Whether
# the packages of Debian build confined is for tests/corpus.
declare -F unconfined_in_root >/dev/null || eval "unconfined_$(declare -f in_root)"
in_root() {
	local root=$1
	shift
	unconfined_in_root "$root" env DKMS_HOOK_UNCONFINED='*: builds are counted' "$@"
}
