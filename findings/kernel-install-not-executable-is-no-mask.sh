#!/bin/bash
# Expected: as in the run-parts directories of /etc/kernel, `chmod -x /etc/kernel/install.d/NAME.install` switches the
#           plugin off.
# Happens:  a file in /etc that cannot be run does not hide the one of that name in /usr/lib, so `chmod -x` brings
#           back the original that the administrator's copy had replaced.
#           An empty file hides it, executable or not; /run, where systemd's other masks may be, is not looked at.
# Versions: systemd 257.13-1~deb13u1 (trixie).
# Seen:     executable copy: "copy"; chmod -x: "original"; empty: nothing; only in /run: "original".
. "$(dirname "$0")/lib.sh"
k=6.1.0
root=$work/root
root_of "$root" trixie systemd=257.13-1~deb13u1 dash busybox-static
rm -f "$root"/usr/lib/kernel/install.d/*
mkdir -p "$root/etc/kernel/install.d" "$root/run/kernel/install.d" "$root/usr/lib/modules/$k" "$root/boot"
echo kernel >"$root/usr/lib/modules/$k/vmlinuz"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
printf 'ID=test\n' >"$root/etc/os-release"
plugin() {
	printf '#!/bin/sh\necho %s >>/tmp/ran\n' "$2" >"$root/$1/50-x.install"
	chmod 755 "$root/$1/50-x.install"
}
ran() {
	: >"$root/tmp/ran"
	in_root "$root" kernel-install add $k /usr/lib/modules/$k/vmlinuz >"$work/out" 2>&1 || cat "$work/out"
	xargs <"$root/tmp/ran"
}
own=$root/etc/kernel/install.d/50-x.install
plugin usr/lib/kernel/install.d original
expect "the original alone" original "$(ran)"
plugin etc/kernel/install.d copy
expect "an executable copy in /etc" copy "$(ran)"
chmod -x "$own"
expect "the copy after chmod -x" original "$(ran)"
: >"$own"
expect "an empty file in /etc" "" "$(ran)"
chmod +x "$own"
expect "an empty executable file in /etc" "" "$(ran)"
mv "$own" "$root/run/kernel/install.d/"
expect "an empty file in /run" original "$(ran)"
as_found "chmod -x of a copy in /etc/kernel/install.d runs the original; an empty file masks it"
