#!/bin/bash
# Expected: a file with the line `search extra` lets modules in extra/ go first, and updates/ stays above the kernel's own.
# Happens:  any search line replaces the built-in one (updates, then the rest). updates/m.ko then competes as an equal
#           with the kernel's own m.ko, and the one that readdir gives first stays.
# Versions: kmod 34.2-2 (trixie).
# Seen:     without the line updates/m.ko, with it kernel/m.ko (where kernel/ is read first; the script sees to that).
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root k=6.1.0
root_of "$root" trixie kmod=34.2-2
mkdir -p "$root/etc/depmod.d"
# readdir's order is the file system's: by time or by a hash of the name. Look for a name that comes before updates.
for name in kernel kernel2 drivers alpha beta gamma delta epsilon none; do
	[ "$name" != none ] || skip "this file system always gives updates/ first"
	tree=$(toy_tree "$root" $k)
	mkdir "$tree/updates" "$tree/$name"
	[ "$(find "$tree" -mindepth 1 -type d -printf '%f\n' | head -n 1)" != "$name" ] || break
done
toy_module "$tree/$name/m.ko"
toy_module "$tree/updates/m.ko"
chosen() {
	in_root "$root" depmod $k
	cat "$tree/modules.dep"
}
expect "without a search line" "updates/m.ko:" "$(chosen)"
echo 'search extra' >"$root/etc/depmod.d/vendor.conf"
expect "with 'search extra'" "$name/m.ko:" "$(chosen)"
echo 'search extra updates' >"$root/etc/depmod.d/vendor.conf"
expect "with 'search extra updates'" "updates/m.ko:" "$(chosen)"
as_found "'search extra' in any file of depmod.d takes the precedence from updates/"
