#!/bin/bash
# Expected: rpm's status when a package's %post fails is what it always was: 0, with a warning.
# Happens:  rpm 6.1 prints the same warning, installs the package all the same, and ends with 1. Whoever takes the status
#           for "not installed" tries again or rolls back.
# Versions: rpm 4.20.1+dfsg-3 (trixie), 6.1.0-1 (sid).
# Seen:     4.20.1: status 0, installed; 6.1.0: status 1, installed.
. "$(dirname "$0")/lib.sh"
root_of "$work/old" trixie rpm=4.20.1+dfsg-3 dash busybox-static
root_of "$work/new" sid rpm=6.1.0-1 dash busybox-static
cat >"$work/old/tmp/p.spec" <<'SPEC'
Name: p
Version: 1
Release: 1
Summary: test
License: none
BuildArch: noarch
%description
test
%post
exit 4
%files
SPEC
in_root "$work/old" rpmbuild -bb --quiet --define '_topdir /tmp/top' /tmp/p.spec >"$work/log" 2>&1 ||
	die "rpmbuild: $(tail -n 3 "$work/log")"
cp "$work/old/tmp/top/RPMS/noarch/p-1-1.noarch.rpm" "$work/new/tmp/p.rpm"
cp "$work/new/tmp/p.rpm" "$work/old/tmp/p.rpm"
installed() {
	local status
	status=$(status_of in_root "$1" rpm --dbpath /tmp/db -i --nodeps --nosignature /tmp/p.rpm)
	echo "status $status, $(in_root "$1" rpm --dbpath /tmp/db -q p)"
}
warning="warning: %post(p-1-1.noarch) scriptlet failed, exit status 4"
for root in old new; do
	[ $root = old ] && status=0 || status=1
	expect "rpm of $root" "status $status, p-1-1.noarch" "$(installed "$work/$root")"
	expect "its warning" "$warning" "$(grep scriptlet "$work/out" | head -n 1)"
done
as_found "a failing %post: status 0 by rpm 4.20.1, 1 by rpm 6.1.0; the package is installed by both"
