#!/bin/bash
# Expected: a new module adds a line to modules.dep; lines of modules that have nothing to do with it stay.
# Happens:  dependencies are listed in one global order. An out-of-tree module that imports a symbol of `a` moves `m`
#           in that order, and the line of `s`, which uses neither the new module nor `a`, changes.
# Versions: kmod 34.2-2 (trixie).
# Seen:     "kernel/s.ko: kernel/h.ko kernel/m.ko", then "kernel/s.ko: kernel/m.ko kernel/h.ko".
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root k=6.1.0
root_of "$root" trixie kmod=34.2-2
tree=$(toy_tree "$root" $k)
toy_module "$tree/kernel/m.ko" export=em
toy_module "$tree/kernel/h.ko" export=eh
toy_module "$tree/kernel/a.ko" export=ea import=em
toy_module "$tree/kernel/s.ko" import=eh import=em
printf 'kernel/%s.ko\n' m h a s >"$tree/modules.order"
in_root "$root" depmod $k
expect "the line of s before" "kernel/s.ko: kernel/h.ko kernel/m.ko" "$(grep ^kernel/s.ko "$tree/modules.dep")"
toy_module "$tree/updates/new.ko" import=ea
in_root "$root" depmod $k
expect "the line of s after" "kernel/s.ko: kernel/m.ko kernel/h.ko" "$(grep ^kernel/s.ko "$tree/modules.dep")"
as_found "a new module that imports one symbol reorders the dependencies of a module that it has nothing to do with"
