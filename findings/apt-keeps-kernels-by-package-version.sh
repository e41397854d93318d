#!/bin/bash
# Expected: autoremove keeps the newest kernels, and linux-image-6.12.99-custom is newer than linux-image-6.12.10-amd64.
# Happens:  apt ranks kernels by the version of their packages. A kernel packaged by oneself, whose package version is 1 (or
#           a build number), is the oldest of all and is removed, though it was installed last.
# Versions: apt 3.0.4 (trixie).
# Seen:     removed: linux-image-6.12.8-amd64 linux-image-6.12.99-custom.
. "$(dirname "$0")/lib.sh"
root=$work/root
root_of "$root" trixie apt=3.0.4 dpkg dash busybox-static
mkdir -p "$root"/var/lib/apt/lists/partial "$root"/var/lib/dpkg "$root"/var/cache/apt/archives/partial
: >"$root/var/lib/dpkg/status"
: >"$root/var/lib/apt/extended_states"
while read -r name version; do
	printf '%s\n' "Package: $name" 'Status: install ok installed' 'Architecture: amd64' "Version: $version" \
		'Maintainer: A <a@example.org>' 'Description: kernel' '' >>"$root/var/lib/dpkg/status"
	printf 'Package: %s\nArchitecture: amd64\nAuto-Installed: 1\n\n' "$name" >>"$root/var/lib/apt/extended_states"
done <<'KERNELS'
linux-image-6.12.8-amd64 6.12.8-1
linux-image-6.12.9-amd64 6.12.9-1
linux-image-6.12.10-amd64 6.12.10-1
linux-image-6.12.99-custom 1
KERNELS
removed() { in_root "$root" apt-get -s autoremove 2>"$work/err" | sed -n 's/^Remv \([^ ]*\).*/\1/p' | sort | xargs; }
expect "what autoremove removes" "linux-image-6.12.8-amd64 linux-image-6.12.99-custom" "$(removed)"
sed -i 's/^Version: 1$/Version: 6.12.99-1/' "$root/var/lib/dpkg/status"
expect "the same with 6.12.99-1 as its version" "linux-image-6.12.8-amd64 linux-image-6.12.9-amd64" "$(removed)"
as_found "autoremove takes linux-image-6.12.99-custom of version 1 before 6.12.9 and 6.12.10"
