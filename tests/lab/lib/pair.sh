# shellcheck shell=bash
# Two revisions of one kernel: packages with the release of R1 and a later version, made from the real
# ones when a row needs them; and a module that imports what the lab's own modules do not.

. "$LAB/lib/repack.sh"

# The symbol that only labclock imports, and one that nobody does.
IMPORTED=ktime_get_real_seconds
UNUSED=jiffies_to_msecs

# later_revision SYMBOL DIR: image and headers of R1 in a later revision, in the root's DIR. Its headers have
# another version text, another setting that no module of ours asks for, and another CRC of SYMBOL.
later_revision() {
	local symbol=$1 dir=$root$2 deb work version
	mkdir -p "$dir"
	small_image "$(find_deb trixie "linux-image-$R1")" "$dir" "$REVISION"
	deb=$(find_deb trixie "linux-headers-$R1")
	work=$(mktemp -d)/headers
	open_deb "$deb" "$work"
	rm -rf "${work:?}/usr/share"
	sed -i '/^Depends:/s/\(linux-image-[^ ,|]*\) ([^)]*)/\1/g' "$work/DEBIAN/control"
	version=$(dpkg-deb -f "$deb" Version)$REVISION
	set_field "$work" Version "$version"
	sed -i "s/Debian [^ ]* /Debian $version /" "$(echo "$work"/usr/src/*/include/generated)/utsversion.h"
	grep -qP "^0x[0-9a-f]+\t$symbol\t" "$(echo "$work"/usr/src/*)/Module.symvers" || fault "no symbol $symbol"
	sed -i "s/^0x[0-9a-f]*\(\t$symbol\t\)/0x0badcafe\1/" "$(echo "$work"/usr/src/*)/Module.symvers"
	sed -i 's/\(CONFIG_LOG_BUF_SHIFT[= ]\).*/\121/' "$(echo "$work"/usr/src/*)"/{.config,include/config/auto.conf} \
		"$(echo "$work"/usr/src/*)/include/generated/autoconf.h"
	close_deb "$work" "$dir"
}

# install_labclock: the source of a module that imports $IMPORTED, added, built and installed for R1.
install_labclock() {
	lab_source labclock <<-EOF
		// SPDX-License-Identifier: GPL-2.0
		#include <linux/module.h>
		#include <linux/timekeeping.h>

		static int __init labclock_init(void)
		{
			pr_info("labclock: %lld\n", (long long)$IMPORTED());
			return 0;
		}

		static void __exit labclock_exit(void)
		{
		}

		module_init(labclock_init);
		module_exit(labclock_exit);
		MODULE_LICENSE("GPL");
		MODULE_DESCRIPTION("dkms-hook lab module with a symbol of its own");
		MODULE_VERSION("1.0");
	EOF
	does dkms install labclock/1.0 -k "$R1"
}

# later_types OLD NEW DIR: the headers of RS in a later revision, in the root's DIR. Among the types that they describe,
# what is called OLD is called NEW, which is as long.
later_types() {
	local dir=$root$3 deb work version
	deb=$(find_deb sid "linux-headers-$RS")
	work=$(mktemp -d)/headers
	open_deb "$deb" "$work"
	rm -rf "${work:?}/usr/share"
	version=$(dpkg-deb -f "$deb" Version)$REVISION
	set_field "$work" Version "$version"
	sed -i "s/Debian [^ ]* /Debian $version /" "$(echo "$work"/usr/src/*/include/generated)/utsversion.h"
	sed -i "s/\x00$1\x00/\x00$2\x00/" "$(echo "$work"/usr/src/*)/vmlinux"
	grep -qaF "$2" "$(echo "$work"/usr/src/*)/vmlinux" || fault "no type says $1"
	close_deb "$work" "$dir"
}

# install_labtime: the source of a module that uses `struct rtc_time`, added, built and installed for RS.
install_labtime() {
	lab_source labtime <<-'EOF'
		// SPDX-License-Identifier: GPL-2.0
		#include <linux/module.h>
		#include <linux/rtc.h>
		#include <linux/timekeeping.h>

		static struct rtc_time now;

		static int __init labtime_init(void)
		{
			rtc_time64_to_tm(ktime_get_real_seconds(), &now);
			pr_info("labtime: %d\n", now.tm_isdst);
			return 0;
		}

		static void __exit labtime_exit(void)
		{
		}

		module_init(labtime_init);
		module_exit(labtime_exit);
		MODULE_LICENSE("GPL");
		MODULE_DESCRIPTION("dkms-hook lab module with a struct of its own");
		MODULE_VERSION("1.0");
	EOF
	does dkms install labtime/1.0 -k "$RS"
}

# lab_source NAME: the source of version 1.0 of a module; its text on standard input.
lab_source() {
	local source=$root/usr/src/$1-1.0
	mkdir -p "$source"
	cat >"$source/$1.c"
	echo "obj-m := $1.o" >"$source/Makefile"
	cat >"$source/dkms.conf" <<-EOF
		PACKAGE_NAME="$1"
		PACKAGE_VERSION="1.0"
		BUILT_MODULE_NAME[0]="$1"
		DEST_MODULE_LOCATION[0]="/updates/dkms"
		AUTOINSTALL="yes"
	EOF
}

# policy WORD: what becomes of builds when only headers change.
policy() {
	mkdir -p "$root/etc/dkms/framework.conf.d"
	echo "rebuild=\"$1\"" >"$root/etc/dkms/framework.conf.d/rebuild.conf"
}

# before_pair SYMBOL [POLICY]: what the rows of a pair start from.
before_pair() {
	later_revision "$1" /var/cache/pair
	[ -z "${2:-}" ] || policy "$2"
	install_labclock
}

# crc_of MODULE: the CRC of $IMPORTED that an installed module was built with.
crc_of() {
	does modprobe -S "$R1" --dump-modversions "$(in_root "$root" modinfo -k "$R1" -n "$1")"
}
