# shellcheck shell=bash
# The roots: Debian's pacman and compiler, with an os-release of Arch. No initramfs generator: that
# comes as a package of pacman's, with its hooks.

# base_packages: for make_base of the apt lab, whose $suite this sees. What dracut and the kernels'
# build need is in it, so that nothing comes from apt later.
base_packages() {
	echo gcc libc6-dev make patch kmod openssl xz-utils zstd cpio bash file findutils gawk \
		libelf1t64 pacman-package-manager makepkg libarchive-tools fakeroot busybox \
		systemd udev dracut-core procps util-linux ca-certificates
}
