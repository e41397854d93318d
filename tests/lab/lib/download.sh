# shellcheck shell=bash
# Fills the cache of .debs: everything that a row may install, with its dependencies, so that rows
# need no network.

# Real module packages, each for a reason:
#   v4l2loopback  its dkms.conf refuses the cloud kernel      vpoll, lime  small, build everywhere
#   tp-smapi, ddcci, rapiddisk, gost-crypto  several modules  openrazer    fails on 6.12.107
#   dkms-test     DKMS's own test package                     acpi-call    small
module_packages() {
	echo v4l2loopback-dkms vpoll-dkms lime-forensics-dkms tp-smapi-dkms ddcci-dkms \
		rapiddisk-dkms gost-crypto-dkms openrazer-driver-dkms dkms-test-dkms acpi-call-dkms
}

# _fetch ROOT PACKAGE…: these and what they depend on.
_fetch() {
	local root=$1
	shift
	in_root "$root" apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends --download-only install "$@" \
		>>"$fetch_log" 2>&1 || die "could not fetch $* (log: $fetch_log)"
}

# _fetch_only ROOT PACKAGE…: exactly these, also where they conflict with each other.
_fetch_only() {
	local root=$1
	shift
	in_root "$root" sh -c 'cd /var/cache/apt/archives && apt-get -q download "$@"' sh "$@" \
		>>"$fetch_log" 2>&1 || die "could not fetch $* (log: $fetch_log)"
}

# download_suite SUITE: runs in a namespace of its own (see setup).
download_suite() {
	local suite=$1 root debs fetch_log k chosen
	chosen=$(kernels_file "$suite").new
	debs=$(deb_dir "$suite")
	fetch_log=$LAB_CACHE/fetch-$suite.log
	root=$LAB_CACHE/mnt/root
	mkdir -p "$debs/partial" "$LAB_CACHE/mnt"
	: >"$fetch_log"
	mount -t tmpfs -o size=60% lab "$LAB_CACHE/mnt"
	stack "$(base_dir "$suite")" "$LAB_CACHE/mnt/upper" "$LAB_CACHE/mnt/work" "$root"
	furnish "$root"
	cp "$(base_dir "$suite").sources" "$root/etc/apt/sources.list"
	rm -f "$root"/etc/apt/sources.list.d/*
	: >"$root/etc/resolv.conf"
	mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
	mount --bind "$debs" "$root/var/cache/apt/archives"
	printf 'APT::Sandbox::User "root";\nAPT::Keep-Downloaded-Packages "true";\n' \
		>"$root/etc/apt/apt.conf.d/90lab-fetch"
	rm -f "$root/etc/apt/apt.conf.d/docker-clean"
	in_root "$root" apt-get -q update >>"$fetch_log" 2>&1 || die "apt-get update failed (log: $fetch_log)"
	_fetch "$root" dkms
	if [ "$suite" = trixie ]; then
		choose_trixie_kernels "$root" >"$chosen"
		. "$chosen"
		_fetch "$root" $(module_packages)
		for k in "$R1" "$R2" "$G"; do
			_fetch "$root" "linux-image-$k" "linux-headers-$k"
		done
		_fetch_only "$root" "linux-image-$R2-unsigned"
		_fetch "$root" dracut initramfs-tools-
		_fetch "$root" hello
		mkdir -p "$debs-backports/partial"
		mount --bind "$debs-backports" "$root/var/cache/apt/archives"
		_fetch "$root" -t trixie-backports "linux-image-$RB" "linux-headers-$RB"
	else
		choose_sid_kernel "$root" >"$chosen"
		. "$chosen"
		_fetch "$root" "linux-image-$RS" "linux-headers-$RS"
		_fetch "$root" hello
	fi
	# Complete: from now on these are the lab's kernels.
	mv "$chosen" "$(kernels_file "$suite")"
}
