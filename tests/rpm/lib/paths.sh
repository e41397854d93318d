# shellcheck shell=bash
# Where this lab keeps things: beside the one for apt, whose functions it uses ($LAB/lib) and whose
# kernels it repacks. To be sourced before anything of that lab.

RPM_LAB=${RPM_LAB:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
LAB=$(cd "$RPM_LAB/../lab" && pwd)
. "$LAB/lib/paths.sh"

# The cache of the apt lab: packages from the mirror, and which kernels were chosen. Ours is in it.
APT_CACHE=${APT_CACHE:-$LAB_CACHE}
LAB_CACHE=$APT_CACHE/rpm
LAB_OUT=${RPM_LAB_OUT:-$REPO_TOP/target/lab-rpm}
export APT_CACHE

# Releases of the kernels in the repository, as Fedora would call them.
K1=6.12.94-200.fc42.x86_64
K2=6.12.107-200.fc42.x86_64
K3=6.12.107-201.fc42.x86_64
KOWN=6.12.107-own # self-made, in one package; two revisions of it

# load_kernels: R1, R2 (the real ones that those are made of), and KB: the kernel to boot, which
# keeps the release that its image says.
load_kernels() {
	. "$APT_CACHE/kernels.trixie"
	KB=$R2
}

# suite_of MANAGER: the root that a package manager is tried in.
suite_of() {
	case $1 in
	dnf5) echo sid ;;
	*) echo trixie ;;
	esac
}
