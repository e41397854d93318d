# shellcheck shell=bash
# The roots: Debian's programs (rpm, dnf, kernel-install, dracut), with an os-release of the family
# that is being tried. No hooks of Debian for kernels: they would be called by dpkg only, but their
# absence is what a machine with rpm looks like.

# base_packages: for make_base of the apt lab, whose $suite this sees.
base_packages() {
	echo gcc libc6-dev make patch kmod openssl xz-utils zstd cpio bash file findutils gawk \
		libelf1t64 rpm createrepo-c systemd systemd-ukify systemd-boot-efi udev dracut-core \
		python3 procps util-linux ca-certificates
	case $suite in
	trixie) echo dnf python3-dnf ;;
	# The plugin that runs actions is part of Debian's libdnf5-plugins or libdnf5-2.
	sid) echo dnf5 util-linux-extra ;;
	esac
}
