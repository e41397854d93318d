# shellcheck shell=bash
# Real kernel packages made small: the maintainer scripts, the kernel image, the configuration and
# a handful of modules stay, so that unpacking, depmod and the initramfs take a second. Headers
# keep everything a build needs. Versions and file contents can be changed on the way.

# find_deb SUITE PACKAGE: the path of that package in the cache.
find_deb() {
	local found
	found=$(find "$(deb_dir "$1")" -maxdepth 1 -name "$2_*.deb" | sort -V | tail -n1)
	[ -n "$found" ] || die "not in the cache: $2 ($1)"
	printf '%s\n' "$found"
}

# open_deb DEB DIR
open_deb() {
	mkdir -p "$2"
	dpkg-deb -R "$1" "$2"
	rm -f "$2/DEBIAN/md5sums"
}

# close_deb DIR OUTDIR
close_deb() {
	mkdir -p "$2"
	dpkg-deb -Zgzip -z1 --root-owner-group -b "$1" "$2" >/dev/null
	rm -rf "$1"
}

# set_field DIR FIELD VALUE
set_field() { sed -i "s|^$2: .*|$2: $3|" "$1/DEBIAN/control"; }

# thin_image DIR: drops most modules. Works on the one-package and on the split layout.
thin_image() {
	local tree
	tree=$(echo "$1"/usr/lib/modules/*)
	rm -rf "${1:?}/usr/share"
	[ -d "$tree/kernel" ] || return 0
	find "$tree/kernel" -name '*.ko*' -type f ! -path '*/drivers/block/*' ! -path '*/fs/ext4/*' -delete
	find "$tree/kernel" -type d -empty -delete
	if [ -f "$tree/modules.order" ]; then
		(cd "$tree" && find kernel -name '*.ko*' | sed 's/\.xz$//' | sort >modules.order)
	fi
}

# small_image DEB OUTDIR [REVISION]: REVISION is appended to the package version.
small_image() {
	local work version
	work=$(mktemp -d)/image
	open_deb "$1" "$work"
	thin_image "$work"
	if [ -n "${3:-}" ]; then
		version=$(dpkg-deb -f "$1" Version)$3
		set_field "$work" Version "$version"
		printf '# %s\n' "$version" >>"$(echo "$work"/boot/config-*)"
	fi
	close_deb "$work" "$2"
}

# small_headers DEB OUTDIR [REVISION]: with REVISION, headers of the same release from another
# build: another version text, and another checksum of one symbol that every module imports.
small_headers() {
	local work version
	work=$(mktemp -d)/headers
	open_deb "$1" "$work"
	rm -rf "${work:?}/usr/share"
	# The image may be of another revision than the headers: a row needs to order them freely.
	sed -i '/^Depends:/s/\(linux-image-[^ ,|]*\) ([^)]*)/\1/g' "$work/DEBIAN/control"
	if [ -n "${3:-}" ]; then
		version=$(dpkg-deb -f "$1" Version)$3
		set_field "$work" Version "$version"
		sed -i "s/Debian [^ ]* /Debian $version /" \
			"$(echo "$work"/usr/src/*/include/generated)/utsversion.h"
		sed -i 's/^0x[0-9a-f]*\(\tmodule_layout\t\)/0x0badcafe\1/' "$(echo "$work"/usr/src/*)/Module.symvers"
	fi
	close_deb "$work" "$2"
}

# broken_image DEB OUTDIR REVISION: an upgrade whose unpacking fails half-way (the data archive
# ends early), after preinst has run.
broken_image() {
	local work deb
	small_image "$1" "$2" "$3"
	deb=$(find "$2" -name "*$3*.deb")
	work=$(mktemp -d)
	(
		cd "$work" || exit
		ar x "$deb"
		truncate -s -2000000 data.tar.gz
		rm "$deb"
		ar rc "$deb" debian-binary control.tar.* data.tar.gz
	)
	rm -rf "$work"
}
