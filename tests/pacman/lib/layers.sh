# shellcheck shell=bash
# States of a machine that many rows start from, made once per run on top of the prepared root:
#   bare    nothing of ours, no initramfs generator
#   ready   mkinitcpio (stand-in), our package, labmod and labdep
#   one     ready, and kernel K1 with headers, modules built
#   dracut  as ready, with dracut in place of mkinitcpio

# lower_of SUITE LAYER: the overlay's lowerdir.
lower_of() {
	local layers=$LAB_CACHE/mnt/$LAB_UNDER_TEST/layers/$1
	case $2 in
	bare) root_dir "$1" ;;
	ready | dracut) printf '%s:%s' "$layers/$2/upper" "$(root_dir "$1")" ;;
	one) printf '%s:%s:%s' "$layers/one/upper" "$layers/ready/upper" "$(root_dir "$1")" ;;
	*) die "no such layer: $2" ;;
	esac
}

# find_package: sets DKMS_HOOK_PKG to the package to test: the caller's, or what make pacman made last.
find_package() {
	local latest=$REPO_TOP/target/packages/latest-pacman
	if [ -z "${DKMS_HOOK_PKG:-}" ] && [ -e "$latest" ]; then
		DKMS_HOOK_PKG=$(cd "$REPO_TOP" && realpath "$(cat "$latest")")
	fi
	[ -f "${DKMS_HOOK_PKG:-}" ] || die "no package to test: run make pacman, or set DKMS_HOOK_PKG to its path"
	DKMS_HOOK_PKG=$(realpath "$DKMS_HOOK_PKG")
	export DKMS_HOOK_PKG
}

# our_package ROOT: copies it there and prints what to give to `pacman -U`.
our_package() {
	mkdir -p "$1/var/cache/lab"
	cp "$DKMS_HOOK_PKG" "$1/var/cache/lab/"
	printf '/var/cache/lab/%s\n' "${DKMS_HOOK_PKG##*/}"
}

# install_under_test ROOT: our package, or Debian's dkms with Arch's hooks (LAB_UNDER_TEST=dkms).
install_under_test() {
	if [ "$LAB_UNDER_TEST" = dkms ]; then
		in_root "$1" pacman --noconfirm -S dkms
	else
		in_root "$1" pacman --noconfirm -U "$(our_package "$1")"
	fi
}

# fill_layer SUITE LAYER: process 1 of a namespace; the log goes to stdout.
fill_layer() {
	local suite=$1 layer=$2 dir root below=bare generator=mkinitcpio
	dir=$LAB_CACHE/mnt/$LAB_UNDER_TEST/layers/$suite/$layer
	root=$LAB_CACHE/mnt/root
	[ "$layer" != one ] || below=ready
	[ "$layer" != dracut ] || generator=dracut
	stack "$(lower_of "$suite" "$below")" "$dir/upper" "$dir/work" "$root"
	furnish "$root"
	attach_repository "$root" "$suite"
	case $layer in
	ready | dracut)
		in_root "$root" pacman --noconfirm -S "$generator" && install_under_test "$root" &&
			in_root "$root" pacman --noconfirm -S labmod-dkms labdep-dkms
		;;
	one) in_root "$root" pacman --noconfirm -S linux linux-headers ;;
	esac
}

# need_layer SUITE LAYER: makes it, and those below it, unless made in this run already.
need_layer() {
	local log=$LAB_OUT/rows/layer-$1-$2.log
	[ "$2" != bare ] || return 0
	[ ! -d "$LAB_CACHE/mnt/$LAB_UNDER_TEST/layers/$1/$2" ] || return 0
	[ "$2" != one ] || need_layer "$1" ready || return
	timed "layer $1/$2" in_namespace --offline "$LAB/inside" pacman fill_layer "$1" "$2" >"$log" 2>&1 && return
	say "the $1/$2 layer could not be made; end of $log:"
	tail -n 15 "$log" >&2
	return 1
}
