# shellcheck shell=bash
# The programs of the host that the lab needs, and the Debian packages that have them.

need_all() {
	local missing=() pair
	for pair in mmdebstrap:mmdebstrap unshare:util-linux cpio:cpio zstd:zstd xz:xz-utils \
		dpkg-scanpackages:dpkg-dev qemu-system-x86_64:qemu-system-x86 "$@"; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
	done
	[ "${#missing[@]}" = 0 ] ||
		die "packages missing on this machine: ${missing[*]} (apt-get install ${missing[*]})"
	[ "$(id -u)" = 0 ] || die "needs root: it makes chroots and mounts (in namespaces of its own)"
	unshare --mount --pid --fork true 2>/dev/null ||
		die "this machine allows no mount namespaces (in a container: run it privileged)"
}
