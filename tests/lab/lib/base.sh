# shellcheck shell=bash
# The base roots: what a freshly installed machine with a compiler has, but neither dkms nor us.

base_packages() {
	# The tools that a module package or an initramfs generator calls, so that installing what is
	# under test pulls in nothing more; dpkg-dev and its like are dependencies of Debian's dkms.
	echo gcc libc6-dev make patch kmod initramfs-tools busybox openssl xz-utils zstd cpio bash \
		linux-base dpkg-dev lsb-release dctrl-tools ca-certificates file
}

# make_base SUITE: the old one, if any, is replaced when the new one is complete.
make_base() {
	local suite=$1 dir work
	dir=$(base_dir "$suite")
	work=$dir.new
	rm -rf --one-file-system "$work"
	mkdir -p "${dir%/*}"
	sources_for "$suite" >"$dir.sources"
	# In a mount namespace: whatever mmdebstrap mounts goes when it ends, however it ends.
	unshare --mount mmdebstrap --mode=root --variant=minbase --quiet \
		--include="$(base_packages | tr ' ' ',')" \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		"$suite" "$work" - <"$dir.sources"
	rm -rf --one-file-system "$dir"
	mv "$work" "$dir"
}
