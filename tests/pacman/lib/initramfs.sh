# shellcheck shell=bash
# Looking into an initramfs as Arch has it: /boot/initramfs-PKGBASE.img, a cpio archive of zstd's,
# whichever generator made it. Takes the place of the functions that look into one of initramfs-tools.

# image_of KERNEL: the file that the boot loader would load; nothing when there is none.
image_of() {
	local base path
	read -r base 2>/dev/null <"$root/usr/lib/modules/$1/pkgbase" || return 0
	path=$root/boot/initramfs-$base.img
	[ ! -e "$path" ] || printf '%s\n' "$path"
}

# initramfs_faults KERNEL MODULE…: why the initramfs of that kernel is not what it should be; says
# nothing when it exists, holds each module as it is installed, and is not older than any of them.
initramfs_faults() {
	local kernel=$1 image module installed packed facts
	shift
	image=$(image_of "$kernel")
	if [ -z "$image" ]; then
		echo "no initramfs for $kernel"
		return
	fi
	rm -rf "$root/tmp/initramfs"
	mkdir -p "$root/tmp/initramfs"
	zstd -qdc "$image" 2>/dev/null | (cd "$root/tmp/initramfs" && cpio --quiet -id --no-absolute-filenames 2>/dev/null)
	for module; do
		installed=$(find "$root/lib/modules/$kernel/updates" -name "$module.ko*" 2>/dev/null | head -n1)
		packed=$(find "$root/tmp/initramfs" -path "*/modules/$kernel/*" -name "$module.ko*" | head -n1)
		if [ -z "$installed" ]; then
			echo "$module is not installed for $kernel"
		elif [ -z "$packed" ]; then
			echo "initramfs of $kernel lacks $module"
		elif ! facts=$(facts_of "$installed"); then
			echo "$module as installed for $kernel is no module"
		elif [ "$facts" != "$(facts_of "$packed")" ]; then
			echo "initramfs of $kernel has another $module"
		elif [ "$installed" -nt "$image" ]; then
			echo "initramfs of $kernel is older than $module"
		fi
	done
	rm -rf "$root/tmp/initramfs"
}
