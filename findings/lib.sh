# shellcheck shell=bash
# Common part of all findings: sourced, not run. README.md says what each function promises.
set -euo pipefail
umask 022
export LC_ALL=C

work=$(mktemp -d)
_end() {
	local status=$?
	rm -rf "$work"
	exit "$status"
}
trap _end EXIT
trap 'exit 130' INT TERM HUP

finding=${0##*/}

# skip WHY: this machine or the mirror cannot show the finding. 77 is neither a success nor a failure.
skip() {
	printf '%s: SKIPPED: %s\n' "$finding" "$*" >&2
	exit 77
}

die() {
	printf '%s: ERROR: %s\n' "$finding" "$*" >&2
	exit 2
}

# expect WHAT FOUND-WHEN-WRITTEN NOW: remembers a difference; as_found then ends with 1.
# (In a file, as it is also called in command substitutions.)
expect() {
	[ "$2" != "$3" ] || return 0
	: >"$work/changed"
	printf '%s: CHANGED: %s\n  as found: %s\n  now:      %s\n' "$finding" "$1" "$2" "$3" >&2
}

# as_found TEXT: the last line of every finding.
as_found() {
	[ ! -e "$work/changed" ] || exit 1
	printf 'as found: %s\n' "$*"
}

# status_of COMMAND…: its exit status; what it prints goes to $work/out.
status_of() {
	local status=0
	"$@" >"$work/out" 2>&1 || status=$?
	echo "$status"
}

needs() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "this machine has no $program"
	done
}

needs_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# --- packages of a Debian suite ------------------------------------------------------------------

# shellcheck source=../tests/lab/lib/mirror.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tests/lab/lib/mirror.sh"

_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# _apt SUITE ARGUMENT…: apt-get with lists and a cache of its own, no package installed, and of this
# machine's configuration only what says how to reach a mirror.
_apt() {
	local suite=$1 dir=${FINDINGS_CACHE:-$work}/apt-$1
	shift
	APT_CONFIG=$dir/apt.conf apt-get -q -y "$@"
}

_prepare_suite() {
	local suite=$1 dir=${FINDINGS_CACHE:-$work}/apt-$1 uri
	[ ! -e "$dir/ready" ] || return 0
	needs apt-get dpkg-deb
	[ -e "$_keyring" ] || skip "$_keyring is missing (package debian-archive-keyring)"
	uri=$(mirror_for "$suite") || skip "no mirror with $suite (DKMS_LAB_MIRROR names one)"
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/state/status"
	printf 'deb [signed-by=%s] %s %s main\n' "$_keyring" "$uri" "$suite" >"$dir/sources.list"
	apt-config dump | grep -E '^(Acquire|Dir::Bin::methods)' >"$dir/apt.conf" || true
	cat >>"$dir/apt.conf" <<-CONF
		Dir::Etc::main "/dev/null";
		Dir::Etc::parts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::State "$dir/state";
		Dir::State::status "$dir/state/status";
		Dir::Cache "$dir/cache";
		APT::Sandbox::User "root";
		APT::Install-Recommends "false";
		APT::Keep-Downloaded-Packages "true";
		Acquire::Languages "none";
	CONF
	_apt "$suite" update >"$work/apt.log" 2>&1 || skip "apt-get update failed for $suite: $(tail -n 1 "$work/apt.log")"
	touch "$dir/ready"
}

# root_of DIR SUITE PACKAGE[=VERSION]…: unpacks these and what they depend on into DIR. No maintainer
# script runs. With busybox-static among them, its applets stand in for programs that are not there.
root_of() {
	local root=$1 suite=$2 name version arch applet
	shift 2
	_prepare_suite "$suite"
	if ! _apt "$suite" -s install "$@" >"$work/plan" 2>"$work/apt.log"; then
		! grep -q 'was not found\|Unable to locate' "$work/apt.log" ||
			skip "NO LONGER ON THE MIRROR ($suite): $(grep -m 1 '^E:' "$work/apt.log")"
		die "apt-get: $(tail -n 1 "$work/apt.log")"
	fi
	_apt "$suite" --download-only install "$@" >"$work/apt.log" 2>&1 ||
		skip "could not download $*: $(tail -n 1 "$work/apt.log")"
	mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{dev,proc,sys,run,etc,home,tmp,var/tmp}
	chmod 1777 "$root/tmp" "$root/var/tmp"
	for name in bin sbin lib lib64; do [ -L "$root/$name" ] || ln -s "usr/$name" "$root/$name"; done
	while read -r name version arch; do
		# Not dpkg-deb -x: packages of older suites would put directories in the place of the links.
		dpkg-deb --fsys-tarfile "${FINDINGS_CACHE:-$work}/apt-$suite/cache/archives/${name}_${version//:/%3a}_$arch.deb" |
			tar -xf - -C "$root" --keep-directory-symlink --no-same-owner
	done < <(sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*\[\(.*\)\]).*/\1 \2 \3/p' "$work/plan")
	# busybox's own sh would run its applets in place of the programs that are looked at.
	[ ! -x "$root/usr/bin/dash" ] || [ -e "$root/usr/bin/sh" ] || ln -s dash "$root/usr/bin/sh"
	[ -x "$root/usr/bin/busybox" ] || return 0
	for applet in $("$root/usr/bin/busybox" --list); do
		# -L: a link to /bin/kmod leads nowhere when looked at from outside.
		[ -e "$root/usr/bin/$applet" ] || [ -L "$root/usr/bin/$applet" ] || [ -e "$root/usr/sbin/$applet" ] ||
			[ -L "$root/usr/sbin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"
	done
}

# in_root DIR COMMAND…: in a chroot that is a mount point, with /dev and /proc, and none of this machine's variables.
in_root() {
	local root=$1 map=()
	shift
	[ "$(id -u)" = 0 ] || map=(--map-root-user)
	# shellcheck disable=SC2016 # the inner shell's words
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C TMPDIR=/tmp unshare "${map[@]}" --mount -- sh -c \
		'mount --bind "$0" "$0" && mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" &&
			exec chroot "$0" "$@"' "$root" "$@"
}

# --- toy modules -----------------------------------------------------------------------------------

# toy_module FILE [name=value…] [export=SYMBOL…] [import=SYMBOL…]: an object file that kmod takes for a
# module; name=value goes into .modinfo. No kernel is needed for it, and none would load it.
toy_module() {
	local file=$1 word
	shift
	mkdir -p "$(dirname "$file")"
	{
		printf '.section .modinfo,"a"\n.asciz "license=GPL"\n'
		for word in "$@"; do
			case $word in export=* | import=*) ;; *) printf '.asciz "%s"\n' "$word" ;; esac
		done
		printf '.section __ksymtab_strings,"aMS",@progbits,1\n'
		for word in "$@"; do
			case $word in export=*) printf '.asciz "%s"\n' "${word#*=}" ;; esac
		done
		printf '.data\n'
		for word in "$@"; do
			case $word in import=*) printf '.quad %s\n' "${word#*=}" ;; esac
		done
	} | as -o "$file" -
}

# toy_tree ROOT RELEASE: an empty modules directory there; prints its path as seen from outside.
toy_tree() {
	local tree=$1/usr/lib/modules/$2
	rm -rf "$tree"
	mkdir -p "$tree"
	: >"$tree/modules.order"
	: >"$tree/modules.builtin"
	: >"$tree/modules.builtin.modinfo"
	echo "$tree"
}

# --- pacman ------------------------------------------------------------------------------------------

# pacman_root DIR: a root with Debian's pacman, no package in it, and a folder for hooks.
pacman_root() {
	root_of "$1" trixie pacman-package-manager=7.0.0-1+b1 bash dash busybox-static
	mkdir -p "$1"/var/lib/pacman "$1"/var/cache/pacman/pkg "$1"/var/log "$1"/etc/pacman.d/hooks
	ln -sf ../bin/true "$1/usr/sbin/ldconfig"
	printf '%s\n' '[options]' 'HookDir = /etc/pacman.d/hooks/' 'SigLevel = Never' 'LocalFileSigLevel = Never' \
		'Architecture = auto' >"$1/etc/pacman.conf"
}

# pacman_package ROOT NAME VERSION FILE…: puts NAME-VERSION.pkg.tar with these files into ROOT/tmp.
pacman_package() {
	local root=$1 name=$2 version=$3 top file
	shift 3
	top=$work/package-$name-$version
	for file in "$@"; do
		mkdir -p "$top/$(dirname "$file")"
		echo content >"$top/$file"
	done
	printf '%s\n' "pkgname = $name" "pkgbase = $name" "pkgver = $version-1" 'pkgdesc = test' 'url = none' \
		'builddate = 1700000000' 'packager = A <a@example.org>' 'size = 8' 'arch = any' 'license = none' >"$top/.PKGINFO"
	tar -C "$top" --owner=0 --group=0 -cf "$root/tmp/$name-$version.pkg.tar" .PKGINFO usr
}

# pacman_hook ROOT NAME OPERATION WHEN TARGET EXEC [LINE]
pacman_hook() {
	printf '%s\n' '[Trigger]' 'Type = Path' "Operation = $3" "Target = $5" '[Action]' "When = $4" "Exec = $6" "${7:-}" \
		>"$1/etc/pacman.d/hooks/$2.hook"
}
