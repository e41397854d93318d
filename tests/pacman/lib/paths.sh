# shellcheck shell=bash
# Where this lab keeps things: beside the one for apt, whose functions it uses ($LAB/lib) and whose
# kernels it repacks. To be sourced before anything of that lab.

PACMAN_LAB=${PACMAN_LAB:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
LAB=$(cd "$PACMAN_LAB/../lab" && pwd)
. "$LAB/lib/paths.sh"

# The cache of the apt lab: packages from the mirror, and which kernels were chosen. Ours is in it.
APT_CACHE=${APT_CACHE:-$LAB_CACHE}
LAB_CACHE=$APT_CACHE/pacman
LAB_OUT=${PACMAN_LAB_OUT:-$REPO_TOP/target/lab-pacman}
export APT_CACHE

# Releases of the kernels in the repository, as Arch calls them. Names only: real is KB.
K1=6.12.94-arch1-1     # linux
K2=6.12.107-arch1-1    # linux, the next release
KL=6.12.90-1-lts       # linux-lts

# load_kernels: R1, R2 (the real ones that those are made of), and KB: the kernel to boot, which
# keeps the release that its image says.
load_kernels() {
	. "$APT_CACHE/kernels.trixie"
	KB=$R2
}
