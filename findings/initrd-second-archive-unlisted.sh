#!/bin/bash
# Expected: an initrd may be any number of archives, each compressed or not (the kernel's documentation of the format
#           says so), and the tools list all of them.
# Happens:  in an initrd to which one more zstd archive was appended, lsinitramfs lists the early and the main archive and
#           not the appended one; dracut's lsinitrd lists the early one only. Both exit 0,
#           so a look into the image says that the appended files are missing. (0.151 and 112-7 of sid list the first two.)
# Versions: initramfs-tools-core 0.148.4, dracut-core 106-6 (trixie).
# Seen:     lsinitramfs: one two; lsinitrd: one.
. "$(dirname "$0")/lib.sh"
root=$work/root
root_of "$root" trixie initramfs-tools-core=0.148.4 dracut-core=106-6 cpio zstd bash dash busybox-static
# shellcheck disable=SC2016 # the inner shell's words
in_root "$root" sh -ec 'cd /tmp
	for name in one two three; do
		mkdir $name; echo content >$name/$name
		(cd $name; echo $name | cpio -o -H newc --quiet) >$name.cpio
	done
	zstd -q two.cpio three.cpio
	cat one.cpio two.cpio.zst three.cpio.zst >initrd'
listed() {
	expect "status of $1" 0 "$(status_of in_root "$root" "$@")"
	tr -s ' ' '\n' <"$work/out" | grep -x 'one\|two\|three' | xargs
}
expect "what lsinitramfs lists" "one two" "$(listed lsinitramfs /tmp/initrd)"
expect "what lsinitrd lists" "one" "$(listed lsinitrd /tmp/initrd)"
expect "what zstd and cpio find at its end" three \
	"$(tail -c "$(stat -c %s "$root/tmp/three.cpio.zst")" "$root/tmp/initrd" >"$root/tmp/end"
	in_root "$root" sh -c 'zstd -q -d -c </tmp/end | cpio -t --quiet')"
as_found "of three archives in an initrd lsinitramfs lists two and lsinitrd one, both exit 0"
