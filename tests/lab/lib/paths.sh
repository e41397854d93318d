# shellcheck shell=bash
# Where the lab keeps things. Everything fetched lives outside git, in one cache directory that
# may be deleted at any time.

LAB=${LAB:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
REPO_TOP=$(cd "$LAB/../.." && pwd)
LAB_CACHE=${DKMS_HOOK_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/dkms-hook/lab}
# Results of a run: the table and the log of each row.
LAB_OUT=${LAB_OUT:-$REPO_TOP/target/lab}

base_dir() { printf '%s/base/%s' "$LAB_CACHE" "$1"; }   # SUITE: as the mirror makes it
root_dir() { printf '%s/root/%s' "$LAB_CACHE" "$1"; }   # SUITE: the same, prepared for rows
deb_dir() { printf '%s/debs/%s' "$LAB_CACHE" "$1"; }    # SUITE: packages from the mirror
repo_dir() { printf '%s/repo/%s' "$LAB_CACHE" "$1"; }   # SUITE: the repository that rows install from
kernels_file() { printf '%s/kernels.%s' "$LAB_CACHE" "$1"; } # SUITE: the releases chosen

BINDEB=6.12.50-labself # release of the `make bindeb-pkg` kernel
UBUNTU=6.12.60-7-lab   # release of the Ubuntu-style kernel
REVISION=+lab1         # appended to the versions of "the same release in a new revision"

# use_cache: until this shell and its children end, no setup changes the cache.
use_cache() {
	# The queue holds it for all its jobs.
	[ -z "${LAB_LOCKED:-}" ] || return 0
	exec 8>"$LAB_CACHE/lock"
	flock --shared 8
}
