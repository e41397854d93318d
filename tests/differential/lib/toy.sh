# shellcheck shell=bash
# Words with which a scenario prepares its root. Paths are inside it.

# put PATH: writes stdin to it.
put() {
	mkdir -p "$root${1%/*}"
	cat >"$root$1"
}

# script PATH [LINE…]: an executable shell script.
script() {
	local path=$1
	shift
	printf '%s\n' '#!/bin/sh' "$@" | put "$path"
	chmod 755 "$root$path"
}

# source_at DIR NAME VERSION [LINE…]: a source that builds one module of its own name; LINEs are
# added to dkms.conf, and win.
source_at() {
	local dir=$1 name=$2 version=$3
	shift 3
	toy_c "$dir" "$name" "$version"
	{
		printf '%s\n' "PACKAGE_NAME=\"$name\"" "PACKAGE_VERSION=\"$version\"" \
			"BUILT_MODULE_NAME[0]=\"$name\"" 'DEST_MODULE_LOCATION[0]="/updates"' 'AUTOINSTALL="yes"'
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} | put "$dir/dkms.conf"
}

# toy NAME VERSION [LINE…]: the same where sources belong.
toy() {
	local name=$1 version=$2
	shift 2
	source_at "/usr/src/$name-$version" "$name" "$version" "$@"
}

# toy_c DIR NAME VERSION: one more module in that directory.
toy_c() {
	printf '%s\n' '#include <linux/module.h>' 'MODULE_LICENSE("GPL");' "MODULE_VERSION(\"$3\");" \
		'int nothing;' | put "$1/$2.c"
	printf 'obj-m += %s.o\n' "$2" >>"$root$1/Makefile"
}

# bad_c DIR NAME: its source does not compile any more.
bad_c() { echo 'this is no C' >>"$root$1/$2.c"; }

# unpack PACKAGE…: the files of packages of the lab, without their scripts.
unpack() {
	local package
	for package; do dpkg-deb -x "$(ls "$(repo_dir trixie)/main/$package"_*.deb)" "$root"; done
}

# in_root_quietly COMMAND…: something that happens in between, not looked at.
meanwhile() { in_root "$root" "$@" >/dev/null 2>&1 </dev/null; }
