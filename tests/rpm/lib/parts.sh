# shellcheck shell=bash
# Everything that running rows needs: functions of the apt lab, and those that take their place here.

. "$RPM_LAB/lib/paths.sh"
for part in say need namespace measure initramfs trace row table boot; do . "$LAB/lib/$part.sh"; done
for part in layers initramfs row; do . "$RPM_LAB/lib/$part.sh"; done
repo_dir() { printf '%s/repo' "$LAB_CACHE"; } # one for both roots
kernels_file() { printf '%s/kernels.%s' "$APT_CACHE" "$1"; }
need_kernels() { [ -e "$APT_CACHE/kernels.trixie" ] || die "run tests/rpm/setup first"; }
