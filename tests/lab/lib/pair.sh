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
	local source=$root/usr/src/labclock-1.0
	mkdir -p "$source"
	echo 'obj-m := labclock.o' >"$source/Makefile"
	cat >"$source/dkms.conf" <<-'EOF'
		PACKAGE_NAME="labclock"
		PACKAGE_VERSION="1.0"
		BUILT_MODULE_NAME[0]="labclock"
		DEST_MODULE_LOCATION[0]="/updates/dkms"
		AUTOINSTALL="yes"
	EOF
	cat >"$source/labclock.c" <<-EOF
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

# before_pair SYMBOL [POLICY]: what the rows of a pair start from.
before_pair() {
	later_revision "$1" /var/cache/pair
	if [ -n "${2:-}" ]; then
		mkdir -p "$root/etc/dkms/framework.conf.d"
		echo "rebuild=\"$2\"" >"$root/etc/dkms/framework.conf.d/rebuild.conf"
	fi
	install_labclock
}

# crc_of MODULE: the CRC of $IMPORTED that an installed module was built with.
crc_of() {
	does modprobe -S "$R1" --dump-modversions "$(in_root "$root" modinfo -k "$R1" -n "$1")"
}
