# shellcheck shell=bash
# Everything that running rows needs: functions of the apt lab, and those that take their place here.

. "$PACMAN_LAB/lib/paths.sh"
for part in say need namespace measure initramfs trace row table boot; do . "$LAB/lib/$part.sh"; done
for part in layers initramfs row; do . "$PACMAN_LAB/lib/$part.sh"; done
repo_dir() { printf '%s/repo' "$LAB_CACHE"; } # one for both roots
