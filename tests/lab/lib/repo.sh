# shellcheck shell=bash
# The repository that rows install from, bound read-only to /srv/lab in their roots:
#   main/       indexed; what plain `apt-get install NAME` finds: small kernels, module packages
#   real/       the full-size kernels (same names and versions as the small ones)
#   bump/       the same releases in a new package revision
#   broken/     an upgrade of an image that fails half-way
#   unsigned/   the unsigned image of the newer release
#   next/       a new version of labmod
#   backports/  everything for the 7.x kernel of backports
#   bindeb/, bindeb2/, ubuntu/   kernels packaged otherwise, bindeb2 a later revision
# Packages outside main/ are installed by path.

fill_trixie() {
	local repo=$1 r deb
	for r in "$R1" "$R2" "$G"; do
		small_image "$(find_deb trixie "linux-image-$r")" "$repo/main"
		small_headers "$(find_deb trixie "linux-headers-$r")" "$repo/main"
	done
	small_image "$(find_deb trixie "linux-image-$R1")" "$repo/bump" "$REVISION"
	small_headers "$(find_deb trixie "linux-headers-$R1")" "$repo/bump" "$REVISION"
	broken_image "$(find_deb trixie "linux-image-$R1")" "$repo/broken" "$REVISION"
	small_image "$(find_deb trixie "linux-image-$R2-unsigned")" "$repo/unsigned"
	bindeb_kernel "$R2" "$BINDEB" 1 "$repo/bindeb"
	bindeb_kernel "$R2" "$BINDEB" 2 "$repo/bindeb2"
	ubuntu_kernel "$R2" "$UBUNTU" 1 "$repo/ubuntu"
	mkdir -p "$repo/real" "$repo/backports"
	for r in "$R1" "$R2" "$G"; do
		for deb in "linux-image-$r" "linux-headers-$r"; do ln "$(find_deb trixie "$deb")" "$repo/real/"; done
	done
	ln "$(deb_dir trixie)-backports"/*.deb "$repo/backports/"
	module_debs "$repo"
	for deb in "$(deb_dir trixie)"/*.deb; do
		case ${deb##*/} in linux-image-* | linux-headers-*cloud* | linux-headers-*-amd64_*) ;;
		*) ln "$deb" "$repo/main/" ;; esac
	done
}

fill_sid() {
	local repo=$1 deb
	mkdir -p "$repo/main"
	module_debs "$repo"
	for deb in "$(deb_dir sid)"/*.deb; do
		case ${deb##*/} in
		linux-modules-*) small_image "$deb" "$repo/main" ;;
		*) ln "$deb" "$repo/main/" ;;
		esac
	done
}

# make_repo SUITE
make_repo() {
	local repo
	repo=$(repo_dir "$1")
	rm -rf "$repo.new"
	mkdir -p "$repo.new"
	. "$(kernels_file "$1")"
	"fill_$1" "$repo.new"
	(cd "$repo.new" && dpkg-scanpackages -m main >Packages 2>/dev/null)
	rm -rf "$repo"
	mv "$repo.new" "$repo"
}
