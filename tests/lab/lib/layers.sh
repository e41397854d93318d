# shellcheck shell=bash
# States of a machine that many rows start from, made once per run on top of the prepared root:
#   bare    nothing of ours
#   ready   what is under test, labmod and labdep
#   one     ready, and kernel R1 with headers, modules built
# Suites other than trixie have only bare and ready.

# lower_of SUITE LAYER: the overlay's lowerdir.
lower_of() {
	local layers=$LAB_CACHE/mnt/$LAB_UNDER_TEST/layers/$1
	case $2 in
	bare) root_dir "$1" ;;
	ready) printf '%s:%s' "$layers/ready/upper" "$(root_dir "$1")" ;;
	one) printf '%s:%s:%s' "$layers/one/upper" "$layers/ready/upper" "$(root_dir "$1")" ;;
	*) die "no such layer: $2" ;;
	esac
}

# find_package: sets DKMS_HOOK_DEB to the package to test: the caller's, or what make deb made last.
find_package() {
	local latest=$REPO_TOP/target/packages/latest
	if [ -z "${DKMS_HOOK_DEB:-}" ] && [ -e "$latest" ]; then
		DKMS_HOOK_DEB=$(cd "$REPO_TOP" && realpath "$(cat "$latest")")
	fi
	[ -f "${DKMS_HOOK_DEB:-}" ] || die "no package to test: run make deb, or set DKMS_HOOK_DEB to its path"
	DKMS_HOOK_DEB=$(realpath "$DKMS_HOOK_DEB")
	export DKMS_HOOK_DEB
}

# install_under_test ROOT: our package, or Debian's dkms (LAB_UNDER_TEST=dkms).
install_under_test() {
	if [ "$LAB_UNDER_TEST" = dkms ]; then
		in_root "$1" apt-get -q install dkms
	else
		cp "$DKMS_HOOK_DEB" "$1/var/cache/dkms-hook.deb"
		in_root "$1" apt-get -q install /var/cache/dkms-hook.deb
	fi
}

# fill_layer SUITE LAYER: process 1 of a namespace; the log goes to stdout.
fill_layer() {
	local suite=$1 layer=$2 dir root below
	dir=$LAB_CACHE/mnt/$LAB_UNDER_TEST/layers/$suite/$layer
	root=$LAB_CACHE/mnt/root
	. "$(kernels_file "$suite")"
	case $layer in ready) below=bare ;; one) below=ready ;; esac
	stack "$(lower_of "$suite" "$below")" "$dir/upper" "$dir/work" "$root"
	furnish "$root"
	attach_repository "$root" "$suite"
	case $layer in
	ready)
		install_under_test "$root" && in_root "$root" apt-get -q install labmod-dkms labdep-dkms
		;;
	one) in_root "$root" apt-get -q install "linux-image-$R1" "linux-headers-$R1" ;;
	esac
}

# need_layer SUITE LAYER: makes it, and those below it, unless made in this run already.
need_layer() {
	local log=$LAB_OUT/rows/layer-$1-$2.log
	[ "$2" != bare ] || return 0
	[ ! -d "$LAB_CACHE/mnt/$LAB_UNDER_TEST/layers/$1/$2" ] || return 0
	[ "$2" = ready ] || need_layer "$1" ready || return
	timed "layer $1/$2" in_namespace --offline "$LAB/inside" apt fill_layer "$1" "$2" \
		>"$log" 2>&1 && return
	say "the $1/$2 layer could not be made; end of $log:"
	tail -n 15 "$log" >&2
	return 1
}
