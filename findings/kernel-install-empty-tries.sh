#!/bin/bash
# Expected: an empty /etc/kernel/tries, or one with a word in it, is no number: boot counting stays off, with a warning.
# Happens:  kernel-install fails and makes no boot entry for the new kernel. Also, each further `add` of a kernel that is
#           there starts its count anew: an entry marked bad (+0-3) is on trial again (+3), as is one that was proved good.
# Versions: systemd 257.13-1~deb13u1 (trixie).
# Seen:     no file: status 0, "m-6.1.0.conf"; "3": "m-6.1.0+3.conf"; empty and "three": status 1, no entry; an entry
#           renamed to +0-3, then add: "m-6.1.0+3.conf".
. "$(dirname "$0")/lib.sh"
k=6.1.0
root=$work/root
root_of "$root" trixie systemd=257.13-1~deb13u1 dash busybox-static
mkdir -p "$root/etc/kernel/install.d" "$root/usr/lib/modules/$k" "$root/boot/loader/entries" "$root/boot/m"
rm -f "$root"/usr/lib/kernel/install.d/50-depmod.install
echo kernel >"$root/usr/lib/modules/$k/vmlinuz"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
printf 'ID=test\n' >"$root/etc/os-release"
echo 'root=/dev/x' >"$root/etc/kernel/cmdline"
echo m >"$root/etc/kernel/entry-token"
printf "layout=bls\nBOOT_ROOT=/boot\n" >"$root/etc/kernel/install.conf"
add() {
	local status=0
	in_root "$root" kernel-install add $k /usr/lib/modules/$k/vmlinuz >"$work/out" 2>&1 || status=$?
	echo "$status" $(ls "$root/boot/loader/entries")
}
fresh() { rm -rf "$root"/boot/loader/entries/* "$root"/boot/m/*; }
expect "without the file" "0 m-6.1.0.conf" "$(add)"
fresh
echo 3 >"$root/etc/kernel/tries"
expect "a number" "0 m-6.1.0+3.conf" "$(add)"
mv "$root/boot/loader/entries/m-6.1.0+3.conf" "$root/boot/loader/entries/m-6.1.0+0-3.conf"
expect "again, of an entry marked bad" "0 m-6.1.0+3.conf" "$(add)"
mv "$root/boot/loader/entries/m-6.1.0+3.conf" "$root/boot/loader/entries/m-6.1.0.conf"
expect "again, of an entry marked good" "0 m-6.1.0+3.conf" "$(add)"
for text in '' three; do
	fresh
	printf %s "$text" >"$root/etc/kernel/tries"
	expect "tries with \"$text\"" "1" "$(add)"
done
as_found "an empty /etc/kernel/tries leaves the new kernel without a boot entry; add again makes a bad entry good"
