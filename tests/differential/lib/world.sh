# shellcheck shell=bash
# The world in which both programs live: kernels, a signing key, configuration. Made once per run,
# below $WORLD, as an overlay layer over the lab's trixie root. The programs themselves are in
# $TOOLS/dkms and $TOOLS/dkms-hook, and are mounted into a root by use_program.
#
#   K1  6.12.1-toy    modules as they are, not signed
#   K2  6.12.10-toy   xz, signed
#   K3  6.13.0-toy    zstd, signed
#   K4  6.14.0-toy    an image without headers
#   KR  the release of the machine's kernel, so that there is a default; as K1
#   REAL              Debian's own: full headers, an image with few modules, xz, signed
# A toy kernel's headers really compile, in a fraction of a second (tests/support/toy-kernel).

K1=6.12.1-toy K2=6.12.10-toy K3=6.13.0-toy K4=6.14.0-toy
KR=$(uname -r)
A=$(uname -m)
WORLD=$LAB_CACHE/mnt/world
TOOLS=$LAB_CACHE/mnt/tools
TOY=$REPO_TOP/tests/support/toy-kernel

# toy_config KERNEL
toy_config() {
	printf 'CONFIG_MODULES=y\nCONFIG_CC_VERSION_TEXT="gcc (Toy 1) 1"\n'
	case $1 in
	"$K2") printf 'CONFIG_MODULE_COMPRESS=y\nCONFIG_MODULE_COMPRESS_XZ=y\n' ;;
	"$K3") printf 'CONFIG_MODULE_COMPRESS=y\nCONFIG_MODULE_COMPRESS_ZSTD=y\n' ;;
	esac
	case $1 in "$K2" | "$K3") printf 'CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_HASH="sha256"\n' ;; esac
}

toy_headers() { # ROOT KERNEL
	local headers=$1/usr/src/linux-headers-$2
	mkdir -p "$headers"/{include/{generated,linux,config},scripts} "$1/usr/lib/modules/$2"
	printf '#define UTS_RELEASE "%s"\n' "$2" >"$headers/include/generated/utsrelease.h"
	cp "$TOY/module.h" "$headers/include/linux/module.h"
	sed 's|@CALLS@|/var/log/lab/toy-make|' "$TOY/Makefile" >"$headers/Makefile"
	toy_config "$2" >"$headers/.config"
	cp "$headers/.config" "$headers/include/config/auto.conf"
	printf '0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n' >"$headers/Module.symvers"
	# Debian's own signing program, whichever kernel it came with.
	ln -s "$(cd "$1" && ls -d usr/lib/linux-kbuild-*/scripts/sign-file | tail -n1 | sed 's|^|/|')" \
		"$headers/scripts/sign-file"
	ln -sfn "/usr/src/linux-headers-$2" "$1/usr/lib/modules/$2/build"
}

# The image: with one module of its own, toyfs.
toy_image() { # ROOT KERNEL
	local tree=$1/usr/lib/modules/$2 work=$1/tmp/toyfs
	mkdir -p "$tree/kernel/fs/toyfs" "$work"
	: >"$tree/modules.order"
	: >"$tree/modules.builtin"
	: >"$tree/modules.builtin.modinfo"
	printf 'toy kernel\n' >"$1/boot/vmlinuz-$2"
	toy_config "$2" >"$1/boot/config-$2"
	printf 'obj-m := toyfs.o\n' >"$work/Makefile"
	printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_VERSION("1.0");\nint in_tree;\n' >"$work/toyfs.c"
	in_root "$1" make -s -C "/usr/src/linux-headers-$2" M=/tmp/toyfs
	cp "$work/toyfs.ko" "$tree/kernel/fs/toyfs/"
	case $2 in
	"$K2") xz --check=crc32 "$tree/kernel/fs/toyfs/toyfs.ko" ;;
	"$K3") zstd -q --rm "$tree/kernel/fs/toyfs/toyfs.ko" ;;
	esac
	rm -r "$work"
	in_root "$1" depmod -a "$2"
}

real_kernel() { # ROOT RELEASE
	local part
	for part in image headers; do
		dpkg-deb -x "$(ls "$(repo_dir trixie)/main/linux-$part-$2"_*.deb)" "$1/tmp/real"
		cp -a "$1/tmp/real/." "$1/"
		rm -r "$1/tmp/real"
	done
	in_root "$1" depmod -a "$2"
}

# What both programs find in /etc/dkms, and the places where use_program puts them.
settings() { # ROOT
	local part
	for part in etc/dkms etc/kernel usr/lib; do mkdir -p "$1/$part"; done
	cp -a "$TOOLS/dkms/etc/dkms/." "$1/etc/dkms/"
	# Roots of tests are entered with chroot, where 3.4 does not sign unless told to.
	# One job: what a failed build leaves does not depend on who was faster.
	printf 'try_sign_modules="true"\nparallel_jobs=1\n' >"$1/etc/dkms/framework.conf.d/differential.conf"
	mkdir -p "$1/usr/lib/dkms" "$1/etc/kernel" "$1/var/lib/dkms"
	: >"$1/usr/sbin/dkms"
	: >"$1/usr/sbin/dkms-hook"
}

# The same key for both, so that signed modules have the same bytes; and in every run, as recordings are kept.
signing_key() { # ROOT
	[ -e "$KEPT/mok.pub" ] ||
		openssl req -new -x509 -nodes -days 36500 -subj '/CN=differential test/' -newkey rsa:2048 \
			-keyout "$KEPT/mok.key" -outform DER -out "$KEPT/mok.pub" 2>/dev/null
	install -m 600 "$KEPT/mok.key" "$1/var/lib/dkms/mok.key"
	install -m 644 "$KEPT/mok.pub" "$1/var/lib/dkms/mok.pub"
}

# make_world: process 1 of a namespace.
make_world() {
	local root=$LAB_CACHE/mnt/root kernel
	. "$(kernels_file trixie)"
	# A world made over an older one would keep some of its files: xz and zstd replace none, so toyfs.ko stayed.
	rm -rf --one-file-system "$WORLD" "$TOOLS"
	mkdir -p "$TOOLS"
	dpkg-deb -x "$(find_deb trixie dkms)" "$TOOLS/dkms"
	dpkg-deb -x "$DKMS_HOOK_DEB" "$TOOLS/dkms-hook"
	stack "$(root_dir trixie)" "$WORLD/upper" "$WORLD/work" "$root"
	furnish "$root"
	settings "$root"
	signing_key "$root"
	for kernel in "$K1" "$K2" "$K3" "$K4" "$KR"; do
		toy_headers "$root" "$kernel"
		toy_image "$root" "$kernel"
	done
	rm -r "$root/usr/src/linux-headers-$K4" "$root/usr/lib/modules/$K4/build"
	real_kernel "$root" "$R2"
	rm -f "$root"/var/log/lab/*
}

# use_program NAME: dkms or dkms-hook, in $root from now on.
use_program() {
	local place from
	PROGRAM=$1
	for place in usr/lib/dkms etc/kernel usr/sbin/dkms usr/sbin/dkms-hook; do
		while umount "$root/$place" 2>/dev/null; do :; done
		from=$TOOLS/$1/$place
		[ -e "$from" ] || continue
		mount --bind "$(realpath "$from")" "$root/$place"
	done
}
