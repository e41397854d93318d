# shellcheck shell=bash
# The power of a virtual machine, cut in the middle of an upgrade: qemu is killed. What the guest had not written to
# its disk by then is lost; what it had written stays.

# power_cuts KERNEL COUNT: upgrades labmod on a disk like the row's root, cuts the power at COUNT moments, and boots
# again each time with what /boot of the disk has then.
power_cuts() {
	local kernel=$1 count=$2 work=$row_dir/power base took at commit=''
	mkdir -p "$work"
	base=$work/base.img
	power_disk "$kernel" "$base"
	cp --sparse=always "$base" "$work/disk.img"
	began=$(now)
	power_boot "$kernel" "$work/disk.img" upgrade undisturbed || { fault "qemu ended with $?" && return; }
	tr -d '\r' <"$LAB_OUT/rows/$name.undisturbed.console" >"$work/undisturbed"
	grep -a '^lab: state' "$work/undisturbed" >"$work/wanted"
	grep -qaF 'lab: end 0' "$work/undisturbed" || { fault "the upgrade itself failed: $name.undisturbed.console" && return; }
	took=$(<"$work/took")
	echo "an upgrade that nothing disturbs takes $took ms"
	for at in $(seq "$count"); do power_cut "$kernel" "$at" $((took * at / count)); done
}

# power_cut KERNEL NUMBER MILLISECONDS: after the upgrade began.
power_cut() {
	local kernel=$1 cut=cut-$2 after=$3 disk=$work/disk.img
	cp --sparse=always "$base" "$disk"
	# Every other time the journal is written each second, not each five.
	[ $(($2 % 2)) = 0 ] || commit=1
	power_boot "$kernel" "$disk" upgrade "$cut" "$after"
	commit=''
	power_boot "$kernel" "$disk" heal "$cut-then" || fault "$cut after $after ms: qemu ended with $?"
	tr -d '\r' <"$LAB_OUT/rows/$name.$cut-then.console" >"$work/then"
	grep -a '^lab: [^s]' "$work/then"
	for line in 'lab: before loads ' 'lab: end 0' 'lab: dry nothing to do' 'lab: after loads 1.1'; do
		grep -qaF "$line" "$work/then" || fault "$cut after $after ms: no line \"$line\""
	done
	! grep -qaF 'lab: status fails' "$work/then" || fault "$cut after $after ms: dkms status failed"
	diff "$work/wanted" <(grep -a '^lab: state' "$work/then") || fault "$cut after $after ms: another end than undisturbed"
}

now() { date +%s%3N; }

# power_disk KERNEL IMAGE: the row's root without what nobody needs, and an upgrade that is ready to be made: of a
# version that is compiled already, as a compiler would take minutes here. The generator of the initramfs puts the
# modules into another archive behind the one that is there, and syncs nothing, as Debian's does not.
power_disk() {
	local kernel=$1 tree=$work/tree ready=/opt/ready
	mkdir -p "$tree"
	# A real machine signs: with the same key each time, so that signatures are the same.
	does dkms generate_mok
	tar -C "$root" --one-file-system --exclude=./usr/share/'*' --exclude=./var/cache/'*' --exclude=./var/lib/apt \
		--exclude=cc1 --exclude=cc1plus --exclude=lto1 --exclude='*.a' --exclude=./usr/lib/python3 \
		--exclude="./usr/lib/modules/$kernel/kernel/"{drivers,fs,net,sound} --exclude=./boot/'System.map*' -c . |
		tar -C "$tree" -x
	mkdir -p "$tree"/{proc,sys,dev,run,tmp,srv,opt/ready}
	cp -r "$root/usr/src/labmod-1.0" "$tree/usr/src/labmod-1.1"
	sed -i 's/1\.0"/1.1"/' "$tree/usr/src/labmod-1.1/dkms.conf" "$tree/usr/src/labmod-1.1/labmod.c"
	cp -r "$tree/usr/src/labmod-1.1" "$root/root/labmod"
	does make -s -C "/lib/modules/$kernel/build" M=/root/labmod
	cp "$root/root/labmod/labmod.ko" "$tree$ready/"
	echo "MAKE[0]=\"cp $ready/labmod.ko .\"" >>"$tree/usr/src/labmod-1.1/dkms.conf"
	echo 'CLEAN="true"' >>"$tree/usr/src/labmod-1.1/dkms.conf"
	mkdir -p "$tree/var/lib/dkms/labmod/1.1"
	ln -s /usr/src/labmod-1.1 "$tree/var/lib/dkms/labmod/1.1/source"
	mv "$tree/boot/initrd.img-$kernel" "$tree$ready/initrd"
	truncate -s %4 "$tree$ready/initrd"
	cat >"$tree/usr/sbin/update-initramfs" <<-EOS
		#!/bin/sh
		set -e
		new=/boot/initrd.img-$kernel.new
		cp $ready/initrd \$new
		# Without the times of the files, so that what is the same is the same file.
		copy=\$(mktemp -d)
		cd /
		cp --parents -r usr/lib/modules/$kernel/updates \$copy
		cd \$copy
		find . -exec touch -h -d @0 {} +
		find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc >>\$new
		cd /
		rm -r \$copy
		mv \$new /boot/initrd.img-$kernel
	EOS
	chmod 755 "$tree/usr/sbin/update-initramfs"
	install -m 755 "$LAB/power-init" "$tree/srv/power-init"
	# As they were made of the version before. The modules that were left out are in the initramfs.
	in_root "$tree" /usr/sbin/depmod "$kernel"
	in_root "$tree" /usr/sbin/update-initramfs
	truncate -s 3G "$2"
	mke2fs -q -F -t ext4 -d "$tree" "$2" || fault 'no disk could be made'
	rm -rf "$tree"
}

# power_boot KERNEL DISK upgrade|heal CONSOLE [MILLISECONDS]: boots from the disk, with the initramfs that is on it.
# With MILLISECONDS the power is cut that long after the upgrade began.
power_boot() {
	local kernel=$1 disk=$2 what=$3 console=$LAB_OUT/rows/$name.$4.console after=${5:-} qemu began limit status=0
	: >"$console"
	# Whoever boots sees the journal played back.
	e2fsck -fy "$disk" >"$work/fsck" 2>&1
	debugfs -R "dump /boot/initrd.img-$kernel $work/initrd" "$disk" 2>/dev/null
	qemu-system-x86_64 -machine accel=tcg -cpu max,-cx16 -m 768 -smp 1 -nodefaults -display none -no-reboot -nic none \
		-serial "file:$console" -kernel "$root/boot/vmlinuz-$kernel" -initrd "$work/initrd" \
		-drive "file=$disk,format=raw,if=virtio,cache=unsafe" \
		-append "console=ttyS0 root=/dev/vda rw init=/srv/power-init panic=-1 quiet mitigations=off lab.do=$what${commit:+ rootflags=commit=$commit}" &
	qemu=$!
	limit=$(($(now) + BOOT_LIMIT * 4000))
	if [ "$what" = upgrade ]; then
		power_wait '^lab: begin'
		began=$(now)
		if [ -n "$after" ]; then
			sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
		else
			power_wait '^lab: end'
			echo $(($(now) - began)) >"$work/took"
			wait $qemu || status=$?
			return $status
		fi
		kill -KILL $qemu
		wait $qemu
		return 0
	fi

	while kill -0 $qemu 2>/dev/null && [ "$(now)" -lt "$limit" ]; do sleep 0.1; done
	kill -KILL $qemu 2>/dev/null
	wait $qemu || status=$?
	return $status
}

# power_wait PATTERN: until the console says so, the machine ends, or it takes too long.
power_wait() {
	while ! grep -qa "$1" "$console" && kill -0 $qemu 2>/dev/null && [ "$(now)" -lt "$limit" ]; do sleep 0.02; done
}
