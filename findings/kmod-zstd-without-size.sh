#!/bin/bash
# Expected: a .ko.zst that zstd takes is a .ko.zst for kmod, too.
# Happens:  kmod needs the content size, which is optional in a zstd frame and left out when the compressor reads a pipe
#           (most streaming interfaces of libraries do the same). depmod then indexes the module without
#           dependencies and aliases and exits 0: at boot the device simply finds no driver.
# Versions: kmod 34.2-2, zstd 1.5.7 (trixie).
# Seen:     zstd -t: 0; depmod: 0, "updates/x.ko.zst:", no alias; modinfo: 1. From a file instead of a pipe: all there.
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root k=6.1.0
root_of "$root" trixie kmod=34.2-2 zstd
tree=$(toy_tree "$root" $k)
toy_module "$tree/kernel/base.ko" export=eb
toy_module "$work/x.ko" import=eb alias=hw:x
cp "$work/x.ko" "$root/tmp/x.ko"
mkdir "$tree/updates"
line() { grep ^updates "$tree/modules.dep" | xargs; }

in_root "$root" zstd -q -c <"$work/x.ko" >"$tree/updates/x.ko.zst"
expect "zstd -t" 0 "$(status_of in_root "$root" zstd -q -t /lib/modules/$k/updates/x.ko.zst)"
expect "depmod's status" 0 "$(status_of in_root "$root" depmod $k)"
expect "dependencies of the piped one" "updates/x.ko.zst:" "$(line)"
expect "aliases of the piped one" 0 "$(grep -c hw:x "$tree/modules.alias" || true)"
expect "modinfo of the piped one" 1 "$(status_of in_root "$root" modinfo /lib/modules/$k/updates/x.ko.zst)"

in_root "$root" zstd -q -f /tmp/x.ko -o /lib/modules/$k/updates/x.ko.zst
in_root "$root" depmod $k
expect "dependencies of the one from a file" "updates/x.ko.zst: kernel/base.ko" "$(line)"
expect "aliases of the one from a file" 1 "$(grep -c hw:x "$tree/modules.alias" || true)"
as_found "a module compressed by 'zstd <in >out' is in the index without dependencies and aliases, depmod exits 0"
