#!/bin/bash
# Expected: a module with broken dependencies costs that module its line in the index, or depmod stops at nothing.
# Happens:  a module that imports a symbol which it exports itself is a dependency cycle of one: depmod ends with 1 and
#           writes no file, so no module that arrives later is ever found. An empty or cut-off .ko is exit 0 and gets a line.
# Versions: kmod 34.2-2 (trixie).
# Seen:     "depmod: ERROR: Cycle detected: selfish -> selfish", status 1, index unchanged.
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root k=6.1.0
root_of "$root" trixie kmod=34.2-2
tree=$(toy_tree "$root" $k)
toy_module "$tree/kernel/a.ko"
in_root "$root" depmod $k
toy_module "$tree/kernel/late.ko"
toy_module "$tree/updates/selfish.ko" export=mine import=mine
expect "depmod's status with the cycle" 1 "$(status_of in_root "$root" depmod $k)"
expect "what it says" "depmod: ERROR: Cycle detected: selfish -> selfish" "$(grep -m 1 Cycle "$work/out")"
expect "the index" "kernel/a.ko:" "$(xargs <"$tree/modules.dep")"
rm "$tree/updates/selfish.ko"
: >"$tree/updates/empty.ko"
expect "depmod's status with an empty module" 0 "$(status_of in_root "$root" depmod $k)"
expect "the index with an empty module" "kernel/a.ko: kernel/late.ko: updates/empty.ko:" "$(sort "$tree/modules.dep" | xargs)"
as_found "one module that imports its own export freezes the index for all; an empty module does not"
