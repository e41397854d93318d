# shellcheck shell=bash
# What every row wants in its base root, done once: an os-release of Fedora, the lab's repositories,
# settings of kernel-install and dracut, and counters in front of make and dracut.

prepare_dnf() {
	local root=$1 area
	mkdir -p "$root/etc/yum.repos.d" "$root/etc/dnf/libdnf5-plugins"
	for area in main next own own2 broken other boot; do
		printf '[lab-%s]\nname=%s\nbaseurl=file:///srv/lab/%s\ngpgcheck=0\nmetadata_expire=never\nenabled=%s\n' \
			"$area" "$area" "$area" "$([ "$area" = main ] && echo 1 || echo 0)"
	done >"$root/etc/yum.repos.d/lab.repo"
	printf '[main]\ngpgcheck=0\nassumeyes=1\ninstallonly_limit=3\nplugins=1\n' >"$root/etc/dnf/dnf.conf"
	# Would serve packages of earlier transactions again.
	for conf in "$root"/etc/dnf/libdnf5-plugins/local.conf; do
		printf '[main]\nname = local\nenabled = 0\n' >"$conf"
	done
}

# A line per outermost call of make: module/version, kernel, what was asked; per call of dracut: the kernel.
prepare_counters() {
	local root=$1 program
	for program in make dracut; do
		in_root "$root" dpkg-divert --quiet --local --rename --divert "/usr/bin/$program.lab-real" "/usr/bin/$program"
	done
	install -m 755 "$LAB/guest/make-counter" "$root/usr/bin/make"
	install -m 755 "$RPM_LAB/guest/dracut-counter" "$root/usr/bin/dracut"
	mkdir -p "$root/var/log/lab"
	chmod 1777 "$root/var/log/lab"
}

prepare_kernel_install() {
	local root=$1
	echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
	mkdir -p "$root/etc/kernel" "$root/etc/dracut.conf.d" "$root/boot"
	echo 'root=/dev/vda quiet' >"$root/etc/kernel/cmdline"
	# As Fedora without systemd-boot: image and initramfs in /boot, where its boot loader's plugin
	# (a stand-in here) puts them.
	printf 'layout=other\ninitrd_generator=dracut\n' >"$root/etc/kernel/install.conf"
	install -m 755 "$RPM_LAB/guest/92-lab-boot.install" "$root/usr/lib/kernel/install.d/"
	# Debian's: takes an initrd that another hook has put in /boot.
	rm -f "$root"/usr/lib/kernel/install.d/{55-initrd,51-dracut-rescue}.install
	# Small and quick, but with the lab's modules.
	cat >"$root/etc/dracut.conf.d/lab.conf" <<-'EOT'
		hostonly=no
		early_microcode=no
		dracutmodules=" base "
		add_drivers+=" labmod labdep "
		compress="zstd -1"
		do_strip=no
		reproducible=no
	EOT
}

# Presets as Fedora's: what is not named stays off, and dkms.service is named.
prepare_systemd() {
	mkdir -p "$1/usr/lib/systemd/system-preset"
	printf 'enable dkms.service\ndisable *\n' >"$1/usr/lib/systemd/system-preset/10-lab.preset"
}

# prepare_root SUITE: a copy of the base root, prepared. Runs in a namespace of its own.
prepare_root() {
	local suite=$1 root
	root=$(root_dir "$suite")
	rm -rf --one-file-system "$root" "$root.new"
	mkdir -p "${root%/*}"
	cp -a --reflink=auto "$(base_dir "$suite")" "$root.new"
	mkdir -p "$root.new/srv/lab"
	rm -f "$root.new/etc/os-release"
	printf 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=42\nPRETTY_NAME="Fedora of the dkms-hook lab"\n' \
		>"$root.new/etc/os-release"
	prepare_dnf "$root.new"
	prepare_counters "$root.new"
	prepare_kernel_install "$root.new"
	prepare_systemd "$root.new"
	# / must be a mount point where rpm's unshare plugin works; in rows the overlay is one.
	mount --bind "$root.new" "$root.new"
	furnish "$root.new"
	attach_repository "$root.new" "$suite"
	in_root "$root.new" rpm --initdb
	in_root "$root.new" rpm -i /srv/lab/main/noarch/lab-base-*.rpm
	umount -R "$root.new"
	mv "$root.new" "$root"
}
