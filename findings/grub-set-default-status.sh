#!/bin/bash
# Expected: grub-set-default fails when there is no such entry, and when it cannot have any effect.
# Happens:  it writes down whatever it is given and ends with 0: also a name that is in no menu, and also when grub.cfg has
#           a number as its default and never reads saved_entry, as Debian's has.
# Versions: grub-common, grub2-common 2.12-9+deb13u4 (trixie).
# Seen:     status 0 for "no-such-entry"; grubenv has saved_entry=no-such-entry; nothing printed.
. "$(dirname "$0")/lib.sh"
root=$work/root
root_of "$root" trixie grub-common=2.12-9+deb13u4 grub2-common=2.12-9+deb13u4 dash busybox-static
mkdir -p "$root/boot/grub" "$root/etc/default"
cat >"$root/boot/grub/grub.cfg" <<'CFG'
set default="0"
menuentry 'Newest' --id gnulinux-simple-u { true; }
submenu 'Others' --id gnulinux-advanced-u {
	menuentry 'Older' --id gnulinux-6.1-advanced-u { true; }
}
CFG
set_default() {
	rm -f "$root/boot/grub/grubenv"
	status_of in_root "$root" grub-set-default --boot-directory=/boot "$1"
	cat "$work/out"
	in_root "$root" grub-editenv /boot/grub/grubenv list
}
expect "an entry that is nowhere" "$(printf '0\nsaved_entry=no-such-entry')" "$(set_default no-such-entry)"
expect "an entry of the submenu without the submenu" "$(printf '0\nsaved_entry=gnulinux-6.1-advanced-u')" \
	"$(set_default gnulinux-6.1-advanced-u)"
expect "what grub.cfg makes of saved_entry" 0 "$(grep -c saved_entry "$root/boot/grub/grub.cfg" || true)"
as_found "grub-set-default ends with 0 for an entry that is nowhere, and where grub.cfg never reads it"
