#!/bin/bash
# Expected: `modinfo NAME` prints the fields of the file that it names, which is the one that modprobe would load.
# Happens:  when a module of that name is also built into the kernel, the file name is that of the external module
#           in updates/, all other fields (version, license, parameters) are the built-in's. If the kernel lists no
#           fields for it, there is a file name and nothing else, exit 0. `modinfo PATH` tells the truth.
# Versions: kmod 34.2-2 (trixie).
# Seen:     "filename: /lib/modules/6.1.0/updates/foo.ko" with "version: 1"; the file's own version is 2.
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root k=6.1.0
root_of "$root" trixie kmod=34.2-2
tree=$(toy_tree "$root" $k)
toy_module "$tree/updates/foo.ko" version=2 parm=new:an_int
echo kernel/drivers/foo.ko >"$tree/modules.builtin"
printf 'foo.license=Dual BSD/GPL\0foo.version=1\0foo.parm=old:an_int\0' >"$tree/modules.builtin.modinfo"
in_root "$root" depmod $k
field() { in_root "$root" modinfo -k $k -F "$1" "$2"; }
path=/lib/modules/$k/updates/foo.ko
expect "what modprobe loads" "insmod $path" "$(in_root "$root" modprobe -S $k -D foo | xargs)"
expect "filename by name" "$path" "$(field filename foo)"
expect "version by name" 1 "$(field version foo)"
expect "parameters by name" "old:an_int" "$(field parm foo)"
expect "version by path" 2 "$(field version $path)"
: >"$tree/modules.builtin.modinfo"
in_root "$root" depmod $k
expect "modinfo's status when the kernel lists no fields" 0 "$(status_of in_root "$root" modinfo -k $k foo)"
expect "what it prints then" "filename: $path" "$(xargs <"$work/out")"
as_found "modinfo NAME prints the external module's file name over the built-in's fields"
