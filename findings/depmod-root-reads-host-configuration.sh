#!/bin/bash
# Expected: `depmod -b ROOT` indexes ROOT by ROOT/etc/depmod.d.
# Happens:  it reads the depmod.d of the machine that it runs on; ROOT's own is ignored. An image made on two
#           machines prefers different modules.
# Versions: kmod 34.2-2 (trixie).
# Seen:     "override m * kernel" in ROOT/etc/depmod.d: updates/m.ko; in /etc/depmod.d: kernel/m.ko.
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root k=6.1.0
root_of "$root" trixie kmod=34.2-2
mkdir -p "$root/image/usr/lib" "$root/image/etc/depmod.d" "$root/etc/depmod.d"
ln -s usr/lib "$root/image/lib"
tree=$(toy_tree "$root/image" $k)
toy_module "$tree/kernel/m.ko"
toy_module "$tree/updates/m.ko"
chosen() {
	in_root "$root" depmod -b /image $k
	cat "$tree/modules.dep"
}
expect "no configuration" "updates/m.ko:" "$(chosen)"
echo 'override m * kernel' >"$root/image/etc/depmod.d/own.conf"
expect "configuration of the image" "updates/m.ko:" "$(chosen)"
mv "$root/image/etc/depmod.d/own.conf" "$root/etc/depmod.d/own.conf"
expect "configuration of the machine" "kernel/m.ko:" "$(chosen)"
as_found "depmod -b ROOT obeys the machine's depmod.d and ignores ROOT's"
