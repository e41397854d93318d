# shellcheck shell=bash
# What every row wants in its base root, done once: an Arch as far as pacman and our program can see.
# No dpkg and apt, /usr/sbin a link, os-release, the lab's repositories, what Arch's kmod package hooks
# in, and a counter in front of make.

# The system itself is not packages of pacman's: it is told to take these as given.
assumed_packages() {
	echo bash coreutils gcc gcc-libs glibc kmod make patch
}

prepare_pacman() {
	local root=$1 area name
	for area in main next bump module modbump other; do
		{
			printf '[options]\nArchitecture = x86_64\nSigLevel = Never\nLocalFileSigLevel = Never\nDisableSandbox\n'
			# The area's packages come before those of main.
			[ "$area" = main ] || printf '[%s]\nServer = file:///srv/lab/%s\n' "$area" "$area"
			printf '[main]\nServer = file:///srv/lab/main\n'
		} >"$root/etc/pacman-$area.conf"
	done
	mv "$root/etc/pacman-main.conf" "$root/etc/pacman.conf"
	mkdir -p "$root/etc/pacman.d/hooks" "$root/usr/share/libalpm/hooks" "$root/usr/share/libalpm/scripts" \
		"$root/var/lib/pacman/local" "$root/var/lib/pacman/sync"
	# Debian's pacman may bring hooks of Arch's for things that are not here.
	rm -f "$root"/usr/share/libalpm/hooks/*
	install -m 644 "$PACMAN_LAB/guest/60-depmod.hook" "$root/usr/share/libalpm/hooks/"
	install -m 755 "$PACMAN_LAB/guest/depmod-script" "$root/usr/share/libalpm/scripts/depmod"
	# Only in the database: installed, without files.
	for name in $(assumed_packages); do
		mkdir -p "$root/var/lib/pacman/local/$name-99-1"
		printf '%%NAME%%\n%s\n\n%%VERSION%%\n99-1\n\n%%DESC%%\nwhat the root has\n\n%%ARCH%%\nx86_64\n\n%%REASON%%\n0\n\n' \
			"$name" >"$root/var/lib/pacman/local/$name-99-1/desc"
		printf '%%FILES%%\n' >"$root/var/lib/pacman/local/$name-99-1/files"
	done
	echo 9 >"$root/var/lib/pacman/local/ALPM_DB_VERSION"
}

prepare_make_counter() {
	mv "$1/usr/bin/make" "$1/usr/bin/make.lab-real"
	install -m 755 "$LAB/guest/make-counter" "$1/usr/bin/make"
	mkdir -p "$1/var/log/lab"
	chmod 1777 "$1/var/log/lab"
}

# One directory for programs, as on Arch.
prepare_sbin() {
	cp -an "$1/usr/sbin/." "$1/usr/bin/" || true
	rm -rf "$1/usr/sbin"
	ln -s bin "$1/usr/sbin"
}

# prepare_root SUITE: a copy of the base root, prepared. Runs in a namespace of its own.
prepare_root() {
	local suite=$1 root
	root=$(root_dir "$suite")
	rm -rf --one-file-system "$root" "$root.new"
	mkdir -p "${root%/*}"
	cp -a --reflink=auto "$(base_dir "$suite")" "$root.new"
	# dracut comes as a package of pacman's.
	while read -r path; do
		[ ! -f "$root.new$path" ] && [ ! -L "$root.new$path" ] || rm -f "$root.new$path"
	done < <(cat "$root.new"/var/lib/dpkg/info/dracut-{core,install}.list)
	rm -rf "$root.new"/usr/lib/dracut "$root.new"/etc/dracut.conf.d
	prepare_sbin "$root.new"
	rm -rf "$root.new"/var/lib/{dpkg,apt} "$root.new"/usr/bin/{dpkg,apt}* "$root.new"/etc/{kernel,apt,dpkg}
	rm -f "$root.new"/usr/lib/kernel/install.d/*
	mkdir -p "$root.new/srv/lab" "$root.new/boot"
	rm -f "$root.new/etc/os-release"
	printf 'NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\nPRETTY_NAME="Arch of the dkms-hook lab"\n' \
		>"$root.new/etc/os-release"
	prepare_pacman "$root.new"
	prepare_make_counter "$root.new"
	furnish "$root.new"
	attach_repository "$root.new" "$suite"
	in_root "$root.new" pacman -Sy
	in_root "$root.new" pacman --version
	in_root "$root.new" sh -c 'pacman -Dk && for p in gcc make depmod modprobe zstd cpio; do command -v $p; done'
	umount -R "$root.new/srv/lab" "$root.new"/{proc,sys,dev,run}
	mv "$root.new" "$root"
}
