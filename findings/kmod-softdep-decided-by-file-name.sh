#!/bin/bash
# Expected: a softdep line in modprobe.d adds to the soft dependencies that a module has of its own, whatever the
#           file is called; a module with two softdep entries has both.
# Happens:  only the first softdep of a module counts, and the module's own ones are read as a file called
#           modules.softdep, sorted by name among those of modprobe.d. So aaa.conf replaces them and zzz.conf
#           (or nvidia.conf) does nothing, without a word. Of two entries in the module itself the second is dead.
# Versions: kmod 34.2-2 (trixie).
# Seen:     own "pre: bar", configured "pre: baz": aaa.conf loads baz, zzz.conf loads bar.
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root k=6.1.0
root_of "$root" trixie kmod=34.2-2
mkdir -p "$root/etc/modprobe.d"
loads() { in_root "$root" modprobe -S $k -D foo | sed 's|.*/\(.*\)\.ko.*|\1|' | xargs; }
tree=$(toy_tree "$root" $k)
toy_module "$tree/kernel/bar.ko"
toy_module "$tree/kernel/baz.ko"
toy_module "$tree/kernel/foo.ko" "softdep=pre: bar"
in_root "$root" depmod $k
expect "no configuration" "bar foo" "$(loads)"
echo 'softdep foo pre: baz' >"$root/etc/modprobe.d/aaa.conf"
expect "the line in aaa.conf" "baz foo" "$(loads)"
mv "$root/etc/modprobe.d/aaa.conf" "$root/etc/modprobe.d/modules.conf"
expect "the line in modules.conf" "baz foo" "$(loads)"
mv "$root/etc/modprobe.d/modules.conf" "$root/etc/modprobe.d/zzz.conf"
expect "the line in zzz.conf" "bar foo" "$(loads)"
rm "$root/etc/modprobe.d/zzz.conf"
toy_module "$tree/kernel/foo.ko" "softdep=pre: bar" "softdep=pre: baz"
in_root "$root" depmod $k
expect "lines in modules.softdep of a module with two" 2 "$(grep -c '^softdep foo' "$tree/modules.softdep")"
expect "what is loaded for a module with two" "bar foo" "$(loads)"
as_found "one softdep line per module counts, and the name of the file in modprobe.d decides which"
