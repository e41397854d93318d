# shellcheck shell=bash
# Looking into an initramfs.

# facts_of MODULE_FILE: what the module says about itself, without its place and signature, so that
# a compressed, stripped or re-packed copy of it counts as the same module.
facts_of() {
	local plain
	plain=$(mktemp --suffix=.ko) # modinfo takes a name without .ko for a module of this machine
	case $1 in
	*.xz) xz -dc "$1" >"$plain" ;;
	*.zst) zstd -qdc "$1" >"$plain" ;;
	*.gz) gzip -dc "$1" >"$plain" ;;
	*) cp "$1" "$plain" ;;
	esac
	modinfo "$plain" | grep -vE '^(filename|sig|signer|signature|[[:space:]])'
	rm -f "$plain"
}

# initramfs_faults KERNEL MODULE…: why the initramfs of that kernel is not what it should be; says
# nothing when it exists, holds each module as it is installed, and is not older than any of them.
initramfs_faults() {
	local kernel=$1 image=$root/boot/initrd.img-$1 module installed packed facts
	shift
	if [ ! -e "$image" ]; then
		echo "no initramfs for $kernel"
		return
	fi
	rm -rf "$root/tmp/initramfs"
	in_root "$root" unmkinitramfs "/boot/initrd.img-$kernel" /tmp/initramfs >/dev/null 2>&1
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
