#!/bin/bash
# Expected: the three programs called strip agree on a module: without options they take the debug sections and the
#           symbol table that nothing needs; BTF, which the kernel reads, stays.
# Happens:  on a relocatable file eu-strip keeps even local symbols, so that the module still loads, but drops .BTF; the
#           kernel then simply has no types for it. binutils and LLVM keep .BTF. `eu-strip -g` keeps it, too.
# Versions: elfutils 0.192-4, binutils 2.44-3, llvm-19 (trixie).
# Seen:     .BTF after strip -g: 1, llvm-strip -g: 1, eu-strip -g: 1, eu-strip: 0.
. "$(dirname "$0")/lib.sh"
needs as
root=$work/root
root_of "$root" trixie elfutils=0.192-4 binutils=2.44-3 llvm-19 dash busybox-static
{
	printf '.section .modinfo,"a"\n.asciz "license=GPL"\n'
	printf '.section .BTF,""\n.asciz "types"\n.section .debug_info,""\n.quad f\n.section .comment,""\n.asciz "compiler"\n'
	printf '.text\n.globl f\nf: call ext\nlocal: nop\n.quad local\n'
} | as -o "$root/tmp/module.ko" -
has() {
	in_root "$root" cp /tmp/module.ko /tmp/stripped.ko
	in_root "$root" "$@" /tmp/stripped.ko
	in_root "$root" sh -c 'readelf -SW /tmp/stripped.ko; readelf -sW /tmp/stripped.ko' >"$work/out"
	for word in .BTF .debug_info .comment local; do
		grep -q " $word\( \|$\)" "$work/out" && printf '%s ' "$word"
	done
	true
}
expect "after strip -g" ".BTF .comment local " "$(has strip -g)"
expect "after llvm-strip -g" ".BTF .comment local " "$(has llvm-strip-19 -g)"
expect "after eu-strip -g" ".BTF .comment local " "$(has eu-strip -g)"
expect "after eu-strip" ".comment local " "$(has eu-strip)"
as_found "eu-strip on a module keeps its symbols and comments and drops .BTF"
