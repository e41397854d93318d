#!/bin/bash
# Expected: rpm in a chroot installs packages as rpm 4.18 does there, scriptlets included.
# Happens:  since 4.20 rpm gives scriptlets a mount namespace of their own. Where the chroot's directory is no mount
#           point, that fails, and every scriptlet with it: 126 before its first command. The package is there, its
#           scriptlet has not run, and rpm 4.20 ends with 0. The chroot bound onto itself is fine.
# Versions: rpm 4.18.0+dfsg-1+deb12u1 (bookworm), 4.20.1+dfsg-3 (trixie).
# Seen:     4.18: "ran"; 4.20: "failed to change mount propagation /: Invalid argument", "exit status 126", status 0;
#           4.20 in a bound one: "ran".
. "$(dirname "$0")/lib.sh"
root=$work/root
root_of "$root" trixie coreutils mount dash
root_of "$root/old" bookworm rpm=4.18.0+dfsg-1+deb12u1 dash busybox-static
root_of "$root/new" trixie rpm=4.20.1+dfsg-3 dash busybox-static
cat >"$root/old/tmp/p.spec" <<'SPEC'
Name: p
Version: 1
Release: 1
Summary: test
License: none
BuildArch: noarch
%description
test
%post
echo ran
%files
SPEC
in_root "$root/old" rpmbuild -bb --quiet --define '_topdir /tmp/top' /tmp/p.spec >"$work/log" 2>&1 ||
	die "rpmbuild: $(tail -n 3 "$work/log")"
cp "$root/old/tmp/top/RPMS/noarch/p-1-1.noarch.rpm" "$root/new/tmp/p.rpm"
cp "$root/new/tmp/p.rpm" "$root/old/tmp/p.rpm"
# install_in NAME DATABASE [BIND]: a chroot inside the chroot, which is a mount point only when BIND makes it one.
install_in() {
	# shellcheck disable=SC2016 # the inner shell's words
	status_of in_root "$root" sh -c '[ -z "$2" ] || mount --bind "/$0" "/$0"
		mount --rbind /dev "/$0/dev" && mount --rbind /proc "/$0/proc" &&
		exec chroot "/$0" rpm --dbpath "/tmp/$1" -i --nodeps --nosignature /tmp/p.rpm' "$@"
}
expect "status of 4.18 in a plain chroot" 0 "$(install_in old db '')"
expect "output of 4.18 in a plain chroot" ran "$(tail -n 1 "$work/out")"
expect "status of 4.20 in a plain chroot" 0 "$(install_in new db1 '')"
expect "output of 4.20 in a plain chroot" "error: failed to change mount propagation /: Invalid argument" "$(head -n 1 "$work/out")"
expect "warning of 4.20 in a plain chroot" "warning: %post(p-1-1.noarch) scriptlet failed, exit status 126" "$(tail -n 1 "$work/out")"
expect "package of 4.20 in a plain chroot" p-1-1.noarch "$(in_root "$root/new" rpm --dbpath /tmp/db1 -q p)"
expect "status of 4.20 in a bound chroot" 0 "$(install_in new db2 bind)"
expect "output of 4.20 in a bound chroot" ran "$(tail -n 1 "$work/out")"
as_found "rpm 4.20 in a chroot that is no mount point runs no scriptlet, status 0"
