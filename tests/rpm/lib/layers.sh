# shellcheck shell=bash
# States of a machine that many rows start from, made once per run on top of the prepared root:
#   bare    nothing of ours
#   ready   our rpm (and the plugin of dnf 4 where that is) or dkms (LAB_UNDER_TEST), labmod and labdep
#   one     ready, and kernel K1 with headers, modules built

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

# find_package: sets DKMS_HOOK_RPMS to the packages to test: the caller's, or what make rpm made last.
find_package() {
	local latest=$REPO_TOP/target/packages/latest-rpm path paths=()
	if [ -z "${DKMS_HOOK_RPMS:-}" ] && [ -e "$latest" ]; then
		DKMS_HOOK_RPMS=$(sed "s|^|$REPO_TOP/|" "$latest")
	fi
	for path in ${DKMS_HOOK_RPMS:-}; do
		[ -f "$path" ] || die "no such package: $path"
		paths+=("$(realpath "$path")")
	done
	[ "${#paths[@]}" -gt 0 ] || die "no package to test: run make rpm, or set DKMS_HOOK_RPMS to the paths"
	DKMS_HOOK_RPMS=${paths[*]}
	export DKMS_HOOK_RPMS
}

# our_rpms SUITE: the paths, inside a root, of the packages under test.
our_rpms() {
	local path
	for path in $DKMS_HOOK_RPMS; do
		case $1/${path##*/} in
		sid/python3-*) ;;
		*) printf '/var/cache/lab/%s\n' "${path##*/}" ;;
		esac
	done
}

# our_names: those packages by name, in the root of a row.
our_names() { in_root "$root" rpm -qp --qf '%{NAME}\n' $(our_rpms "$SUITE"); }

# use_dnf ROOT SUITE ARGUMENT…
use_dnf() {
	local root=$1 program=dnf
	[ "$2" != sid ] || program=dnf5
	shift 2
	in_root "$root" "$program" "$@"
}

# install_under_test ROOT SUITE: our packages, or dkms, called as Fedora's is (LAB_UNDER_TEST=dkms).
install_under_test() {
	if [ "$LAB_UNDER_TEST" = dkms ]; then
		use_dnf "$1" "$2" --enablerepo=lab-other install dkms
		# It asks for the running kernel, which here is another machine's.
		mv "$1/usr/bin/uname" "$1/usr/bin/uname.lab-real"
		printf '#!/bin/sh\n[ "$*" != -r ] || exec echo %s\nexec uname.lab-real "$@"\n' "$K1" >"$1/usr/bin/uname"
		chmod 755 "$1/usr/bin/uname"
	else
		mkdir -p "$1/var/cache/lab"
		cp $DKMS_HOOK_RPMS "$1/var/cache/lab/"
		use_dnf "$1" "$2" install $(our_rpms "$2")
	fi
}

# fill_layer SUITE LAYER: process 1 of a namespace; the log goes to stdout.
fill_layer() {
	local suite=$1 layer=$2 dir root below
	dir=$LAB_CACHE/mnt/$LAB_UNDER_TEST/layers/$suite/$layer
	root=$LAB_CACHE/mnt/root
	case $layer in ready) below=bare ;; one) below=ready ;; esac
	stack "$(lower_of "$suite" "$below")" "$dir/upper" "$dir/work" "$root"
	furnish "$root"
	attach_repository "$root" "$suite"
	case $layer in
	ready)
		install_under_test "$root" "$suite" && use_dnf "$root" "$suite" install labmod-dkms labdep-dkms
		;;
	one) use_dnf "$root" "$suite" install "kernel-$(nv "$K1")" "kernel-devel-$(nv "$K1")" ;;
	esac
}

# nv RELEASE: version and release of the packages of one of Fedora's kernels.
nv() { printf '%s' "${1%.x86_64}"; }

# need_layer SUITE LAYER: makes it, and those below it, unless made in this run already.
need_layer() {
	local log=$LAB_OUT/rows/layer-$1-$2.log
	[ "$2" != bare ] || return 0
	[ ! -d "$LAB_CACHE/mnt/$LAB_UNDER_TEST/layers/$1/$2" ] || return 0
	[ "$2" = ready ] || need_layer "$1" ready || return
	timed "layer $1/$2" in_namespace --offline "$LAB/inside" rpm fill_layer "$1" "$2" >"$log" 2>&1 && return
	say "the $1/$2 layer could not be made; end of $log:"
	tail -n 15 "$log" >&2
	return 1
}
