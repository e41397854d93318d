# shellcheck shell=bash
# What every row wants in its base root, done once: the apt sources of the lab, no services, a
# counter in front of make and of the initramfs generator, and the parts of the headers that all
# flavours share.

prepare_apt() {
	local root=$1
	rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
	echo 'deb [trusted=yes] file:/srv/lab ./' >"$root/etc/apt/sources.list.d/lab.list"
	cat >"$root/etc/apt/apt.conf.d/90lab" <<-'EOF'
		APT::Install-Recommends "0";
		APT::Sandbox::User "root";
		APT::Get::Assume-Yes "1";
		Dpkg::Use-Pty "0";
		quiet "1";
	EOF
	# Nothing here has to survive a power cut.
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/90lab"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
}

# A line per outermost call of make: module/version, kernel, what was asked.
prepare_make_counter() {
	local root=$1
	in_root "$root" dpkg-divert --quiet --local --rename --divert /usr/bin/make.lab-real /usr/bin/make
	install -m 755 "$LAB/guest/make-counter" "$root/usr/bin/make"
	mkdir -p "$root/var/log/lab"
	chmod 1777 "$root/var/log/lab"
}

prepare_initramfs() {
	local root=$1
	# Small and quick, but with the lab's modules.
	sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=zstd/; s/^# *COMPRESSLEVEL=.*/COMPRESSLEVEL=1/' \
		"$root/etc/initramfs-tools/initramfs.conf"
	printf 'labmod\nlabdep\n' >>"$root/etc/initramfs-tools/modules"
	install -m 755 "$LAB/guest/initramfs-counter" "$root/etc/initramfs-tools/hooks/lab-counter"
}

# shared_headers SUITE RELEASE: the packages that a flavour's headers depend on, without its image.
shared_headers() {
	dpkg-deb -f "$(find_deb "$1" "linux-headers-$2")" Depends | tr ',' '\n' |
		grep -oE '(linux-kbuild|linux-headers|gcc)-[^ ]+'
}

# prepare_root SUITE: a copy of the base root, prepared. Runs in a namespace of its own.
prepare_root() {
	local suite=$1 root r
	root=$(root_dir "$suite")
	rm -rf --one-file-system "$root" "$root.new"
	cp -a --reflink=auto "$(base_dir "$suite")" "$root.new"
	mkdir -p "$root.new/srv/lab"
	. "$(kernels_file "$suite")"
	prepare_apt "$root.new"
	prepare_make_counter "$root.new"
	prepare_initramfs "$root.new"
	furnish "$root.new"
	attach_repository "$root.new" "$suite"
	in_root "$root.new" apt-get -q update
	for r in ${R1:-} ${R2:-} ${RS:-}; do
		in_root "$root.new" apt-get -q install $(shared_headers "$suite" "$r")
	done
	mv "$root.new" "$root"
}
