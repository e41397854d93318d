# shellcheck shell=bash
# Booting a kernel of a row with the initramfs that the row made, in qemu without acceleration.

BOOT_LIMIT=${LAB_BOOT_LIMIT:-240} # seconds

# lab_cpio DIR OUT: a second archive behind the initramfs; its /lab-init takes the place of /init.
lab_cpio() {
	(cd "$1" && find . | cpio --quiet -o -H newc) >"$2"
}

# boot_and_load KERNEL MODULE…: loads the modules with the initramfs's own modprobe, and reads them
# back from /proc/modules. With several, the first is the one to load: its dependencies follow.
boot_and_load() {
	local kernel=$1 module work=$row_dir/boot console=$LAB_OUT/rows/$name.console image
	shift
	mkdir -p "$work/extra"
	install -m 755 "$LAB/guest/lab-init" "$work/extra/lab-init"
	lab_cpio "$work/extra" "$work/extra.cpio"
	image=$root/boot/initrd.img-$kernel
	cp "$image" "$work/initrd"
	# The kernel looks for the next archive at a multiple of four bytes.
	truncate -s %4 "$work/initrd"
	cat "$work/extra.cpio" >>"$work/initrd"
	# Without cmpxchg16b: emulated by QEMU 7.2 it sometimes leaves wrong flags, and the kernel panics.
	timeout -k 5 "$BOOT_LIMIT" qemu-system-x86_64 -machine accel=tcg -cpu max,-cx16 -m 768 -smp 1 -nodefaults \
		-display none -no-reboot -nic none -serial "file:$console" \
		-kernel "$root/boot/vmlinuz-$kernel" -initrd "$work/initrd" \
		-append "console=ttyS0 rdinit=/lab-init panic=-1 quiet lab.load=$1 mitigations=off" ||
		fault "qemu ended with $? (console: $console)"
	grep -a '^lab:' "$console"
	tr -d '\r' <"$console" | grep -qaFx "lab: running $kernel" || fault "$kernel did not boot"
	for module; do
		grep -qaE "^lab: loaded $module " "$console" || fault "$module is not in /proc/modules of the booted $kernel"
	done
}
