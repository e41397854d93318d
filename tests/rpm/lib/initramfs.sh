# shellcheck shell=bash
# Looking into an initramfs of dracut, wherever the layout of kernel-install puts it. Takes the place
# of the functions that look into one of initramfs-tools.

# image_of KERNEL: the file that the boot loader would load; nothing when there is none.
image_of() {
	local path token=0123456789abcdef0123456789abcdef
	for path in "$root/boot/initramfs-$1.img" "$root/boot/$token/$1/initrd" "$root/boot/EFI/Linux/$token-$1.efi"; do
		[ ! -e "$path" ] || { printf '%s\n' "$path" && return; }
	done
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
	mkdir -p "$root/tmp/initramfs/content"
	cp "$image" "$root/tmp/initramfs/image"
	case $image in *.efi) objcopy --dump-section .initrd="$root/tmp/initramfs/image" "$image" /dev/null ;; esac
	in_root "$root" sh -c 'cd /tmp/initramfs/content && lsinitrd --unpack ../image' >/dev/null 2>&1
	for module; do
		installed=$(find "$root/lib/modules/$kernel/extra" -name "$module.ko*" 2>/dev/null | head -n1)
		packed=$(find "$root/tmp/initramfs/content" -path "*/modules/$kernel/*" -name "$module.ko*" | head -n1)
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

images_made() { sed -n '$=' "$root/var/log/lab/initramfs.log" 2>/dev/null || echo 0; }
