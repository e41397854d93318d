# shellcheck shell=bash
# The lab's own *-dkms packages: maintainer scripts do what those made by dh_dkms do.

# module_deb NAME VERSION DEPENDS OUTDIR
module_deb() {
	local name=$1 version=$2 depends=$3 out=$4 work script
	work=$(mktemp -d)
	mkdir -p "$work/DEBIAN" "$work/usr/src/$name-$version" "$out"
	cp -r "$LAB/packages/$name/." "$work/usr/src/$name-$version/"
	sed -i "s/1\.0\"/$version\"/" "$work/usr/src/$name-$version/dkms.conf" "$work/usr/src/$name-$version/$name.c"
	cat >"$work/DEBIAN/control" <<-EOF
		Package: $name-dkms
		Version: $version-1
		Architecture: all
		Maintainer: dkms-hook lab <lab@localhost>
		Depends: $depends
		Description: module of the dkms-hook lab ($name)
	EOF
	cat >"$work/DEBIAN/postinst" <<-EOF
		#!/bin/sh
		set -e
		if [ "\$1" = configure ]; then
			/usr/lib/dkms/common.postinst $name $version /usr/share/$name-dkms "" \$2
		fi
	EOF
	cat >"$work/DEBIAN/prerm" <<-EOF
		#!/bin/sh
		set -e
		case "\$1" in
		remove | upgrade | deconfigure)
			if [ "\$(dkms status -m $name -v $version)" ]; then
				dkms remove -m $name -v $version --all
			fi
			;;
		esac
	EOF
	for script in postinst prerm; do chmod 755 "$work/DEBIAN/$script"; done
	dpkg-deb -Zgzip -z1 --root-owner-group -b "$work" "$out/${name}-dkms_${version}-1_all.deb" >/dev/null
	rm -rf "$work"
}

# module_debs REPO
module_debs() {
	module_deb labmod 1.0 "dkms (>= 3.0.11)" "$1/main"
	module_deb labdep 1.0 "dkms (>= 3.0.11), labmod-dkms" "$1/main"
	module_deb labmod 1.1 "dkms (>= 3.0.11)" "$1/next"
}
