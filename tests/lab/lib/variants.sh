# shellcheck shell=bash
# Kernels packaged in other ways, with a real kernel's files under a release of their own:
# what `make bindeb-pkg` makes, and what Ubuntu's archive has.

# rename_release DIR OLD NEW: in file names and in the texts that a build reads.
rename_release() {
	local dir=$1 old=$2 new=$3 path
	find "$dir" -depth -name "*$old*" | while read -r path; do
		mv "$path" "${path%/*}/$(basename "$path" | sed "s/${old//./\\.}/$new/")"
	done
	{ grep -rlIF -- "$old" "$dir" || true; } | while read -r path; do
		sed -i "s/${old//./\\.}/$new/g" "$path"
	done
	find "$dir" -type l -lname "*$old*" | while read -r path; do
		ln -sfn "$(readlink "$path" | sed "s/${old//./\\.}/$new/")" "$path"
	done
}

# variant_trees WORK OLD NEW: WORK/image and WORK/headers with empty DEBIAN directories.
variant_trees() {
	local part
	for part in image headers; do
		dpkg-deb -x "$(find_deb trixie "linux-$part-$2")" "$1/$part"
		thin_image "$1/$part"
		rm -rf "${1:?}/$part/usr/share"
		rename_release "$1/$part" "$2" "$3"
		mkdir "$1/$part/DEBIAN"
	done
}

variant_control() { # DIR PACKAGE VERSION DEPENDS
	cat >"$1/DEBIAN/control" <<-EOF
		Package: $2
		Version: $3
		Architecture: amd64
		Maintainer: dkms-hook lab <lab@localhost>
		Description: kernel of the dkms-hook lab
	EOF
	[ -z "$4" ] || printf 'Depends: %s\n' "$4" >>"$1/DEBIAN/control"
}

# A script as scripts/package/builddeb of the kernel writes them: all four run their hooks whatever
# dpkg's arguments say, and the headers package has none.
bindeb_script() { # PATH NAME RELEASE
	cat >"$1" <<-EOF
		#!/bin/sh
		set -e
		export DEB_MAINT_PARAMS="\$*"
		export INITRD=Yes
		dirs=
		for base in /etc/kernel /usr/share/kernel; do
			if [ -d \$base/$2.d ]; then dirs="\$dirs \$base/$2.d"; fi
		done
		if [ -n "\$dirs" ]; then
			run-parts --arg=$3 --arg=/boot/vmlinuz-$3 \$dirs
		fi
		exit 0
	EOF
	chmod 755 "$1"
}

# bindeb_kernel OLD NEW VERSION OUTDIR
bindeb_kernel() {
	local work script
	work=$(mktemp -d)
	variant_trees "$work" "$1" "$2"
	variant_control "$work/image" "linux-image-$2" "$3" ""
	variant_control "$work/headers" "linux-headers-$2" "$3" ""
	for script in preinst postinst prerm postrm; do
		bindeb_script "$work/image/DEBIAN/$script" "$script" "$2"
	done
	sed -i "s/Debian [^ ]* /Debian $3 /" "$(echo "$work"/headers/usr/src/*/include/generated)/utsversion.h"
	close_deb "$work/image" "$4"
	close_deb "$work/headers" "$4"
	rm -rf "$work"
}

# ubuntu_kernel OLD NEW VERSION OUTDIR: the modules in a package of their own; the image's postinst
# only leaves a note and fires a trigger, so that its hooks run after those of the headers.
ubuntu_kernel() {
	local work r=$2
	work=$(mktemp -d)
	variant_trees "$work" "$1" "$r"
	mkdir -p "$work/modules/DEBIAN" "$work/modules/boot" "$work/modules/usr/lib"
	mv "$work/image/usr/lib/modules" "$work/modules/usr/lib/modules"
	rm -rf "$work/image/usr"
	mv "$work/image/boot/config-$r" "$work/image/boot/System.map-$r" "$work/modules/boot/"
	variant_control "$work/modules" "linux-modules-$r" "$3" ""
	variant_control "$work/image" "linux-image-$r" "$3" "linux-modules-$r"
	variant_control "$work/headers" "linux-headers-$r" "$3" ""
	echo "interest linux-update-$r" >"$work/image/DEBIAN/triggers"
	cat >"$work/image/DEBIAN/postinst" <<-EOF
		#!/bin/sh
		set -e
		note=/usr/lib/linux/triggers/$r
		if [ "\$1" = triggered ]; then
			if [ -f \$note ]; then sh \$note; rm -f \$note; fi
			exit 0
		fi
		[ "\$1" = configure ] || exit 0
		depmod $r
		mkdir -p /usr/lib/linux/triggers
		cat >\$note <<-NOTE
			DEB_MAINT_PARAMS="\$*" run-parts --report --exit-on-error --arg=$r --arg=/boot/vmlinuz-$r /etc/kernel/postinst.d
		NOTE
		dpkg-trigger --no-await linux-update-$r
	EOF
	cat >"$work/image/DEBIAN/prerm" <<-EOF
		#!/bin/sh
		set -e
		[ "\$1" = remove ] || exit 0
		DEB_MAINT_PARAMS="\$*" run-parts --report --exit-on-error --arg=$r --arg=/boot/vmlinuz-$r /etc/kernel/prerm.d
	EOF
	cat >"$work/image/DEBIAN/postrm" <<-EOF
		#!/bin/sh
		set -e
		rm -f /usr/lib/linux/triggers/$r
		if [ -d /etc/kernel/postrm.d ]; then
			DEB_MAINT_PARAMS="\$*" run-parts --report --exit-on-error --arg=$r --arg=/boot/vmlinuz-$r /etc/kernel/postrm.d
		fi
		if [ "\$1" = purge ]; then
			rm -f /lib/modules/$r/modules.*
			rmdir /lib/modules/$r || true
		fi
	EOF
	cat >"$work/headers/DEBIAN/postinst" <<-EOF
		#!/bin/sh
		set -e
		[ "\$1" = configure ] || exit 0
		DEB_MAINT_PARAMS="\$*" run-parts --report --exit-on-error --arg=$r /etc/kernel/header_postinst.d
	EOF
	chmod 755 "$work"/image/DEBIAN/p* "$work/headers/DEBIAN/postinst"
	for part in modules image headers; do close_deb "$work/$part" "$4"; done
	rm -rf "$work"
}
