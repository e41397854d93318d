#!/bin/bash
# Expected: `depmod RELEASE FILE.ko` adds that one module to the index.
# Happens:  it replaces the whole index by one of that file alone; all other modules are unknown to modprobe. Exit 0.
# Versions: kmod 34.2-2 (trixie).
# Seen:     before "kernel/a.ko: kernel/b.ko:", after "updates/c.ko:"; modprobe a: 1.
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root k=6.1.0
root_of "$root" trixie kmod=34.2-2
tree=$(toy_tree "$root" $k)
for m in kernel/a kernel/b updates/c; do toy_module "$tree/$m.ko"; done
rm "$tree/updates/c.ko"
in_root "$root" depmod $k
expect "the index before" "kernel/a.ko: kernel/b.ko:" "$(sort "$tree/modules.dep" | xargs)"
toy_module "$tree/updates/c.ko"
expect "depmod's status" 0 "$(status_of in_root "$root" depmod $k /lib/modules/$k/updates/c.ko)"
expect "what depmod prints" "" "$(cat "$work/out")"
expect "the index after" "updates/c.ko:" "$(xargs <"$tree/modules.dep")"
expect "modprobe of another module" 1 "$(status_of in_root "$root" modprobe -S $k -D a)"
as_found "depmod with one file forgets all other modules, exit 0"
