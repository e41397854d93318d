# shellcheck shell=bash
# One row with one package manager. What rows may set and say is in tests/lab/lib/row.sh, whose
# checks these are; here a row also sets
#   ON         the package managers that it is run with ("dnf4 dnf5"; rpm, which is 4.20, and rpm6)
#   AGAIN      kernels whose modules may be put in their place once more, as they were
#   DKMS_FAILS what is found wrong with dkms in our place, as an extended regular expression
#   BROKEN_DB  files that `rpm -Va` may name, as an extended regular expression
# and $manager is the one of this run. A row's full name is ROW@MANAGER.

# load_row NAME@MANAGER: in the caller's shell.
load_row() {
	row_defaults
	ON='dnf4 dnf5' AGAIN='' BROKEN_DB='' SECONDS_LIMIT=240
	manager=${1##*@}
	load_kernels
	. "$RPM_LAB/rows/${1%@*}"
	# rpm 6 is in the root that has dnf5.
	SUITE=$(suite_of "${manager/#rpm6/dnf5}")
	TITLE="$TITLE ($manager)"
}

# all_rows: each row with each of its package managers.
all_rows() {
	local row one
	for row in "$RPM_LAB"/rows/*; do
		load_row "${row##*/}@dnf4"
		for one in $ON; do printf '%s@%s\n' "${row##*/}" "$one"; done
	done
}

# dnf ARGUMENT…: the row's package manager; it has to succeed.
dnf() { dnf_with 0 "$@"; }

# dnf_with STATUS ARGUMENT…
dnf_with() {
	local status=$1
	shift
	case $manager in
	dnf5) does_with "$status" env ${dnf_env:-} dnf5 "$@" ;;
	*) does_with "$status" env ${dnf_env:-} dnf "$@" ;;
	esac
}

# kernel RELEASE / devel RELEASE: names of packages for dnf.
kernel() { printf 'kernel-%s' "$(nv "$1")"; }
devel() { printf 'kernel-devel-%s' "$(nv "$1")"; }
parts() { # RELEASE PART…
	local version part
	version=$(nv "$1")
	shift
	for part; do printf 'kernel-%s-%s ' "$part" "$version"; done
}

# kill_tree PID: it and everything that it started, at once.
kill_tree() {
	local all=$1 more=$1
	while more=$(pgrep -d, -P "$more"); do all+=,$more; done
	kill -9 ${all//,/ }
}

# rpm_files RELEASE [PART…]: paths, inside the root, of the packages of a kernel; without parts all.
rpm_files() {
	local version part release=$1
	version=$(nv "$release")
	shift
	[ $# -gt 0 ] || set -- '' -core -modules-core -modules -devel
	for part; do printf '/srv/lab/main/x86_64/kernel%s-%s.x86_64.rpm\n' "$part" "$version"; done
}

# without_dates FILE: the date of modules that may be put in place again says nothing.
without_dates() {
	local path rest
	while read -r path rest; do
		[[ " $AGAIN " != *" ${path%%/*} "* ]] || rest=${rest%% *}
		printf '%s %s\n' "$path" "$rest"
	done <"$1"
}

changed_files() {
	local before after
	before=$(without_dates "$1")
	after=$(without_dates "$2")
	comm -13 <(echo "$before") <(echo "$after") | grep . | names_of
	comm -23 <(cut -d' ' -f1 "$1") <(cut -d' ' -f1 "$2") | names_of | sed 's/^/-/'
}

# rpm's database: it can be read, holds no package twice over, all that is required is there, and
# the files are as they were packed.
check_packages() {
	local text
	text=$({ in_root "$root" rpm --verifydb || echo 'rpm --verifydb failed'; } 2>&1)
	text+=$(in_root "$root" rpm -Va --nomtime 2>&1 | grep -vE "^.{9}  (c|g) |^missing +g |${BROKEN_DB:-^$}")
	[ -z "$text" ] || fault "rpm -Va: $(head -n 3 <<<"$text" | tr '\n' ' ')"
	text=$(in_root "$root" rpm -qa --qf '%{NAME}-%{VERSION}-%{RELEASE}\n' | sort | uniq -d)
	[ -z "$text" ] || fault "twice in the database: $text"
}

# leftovers KERNEL: everything that still names a kernel that should be gone. The cache of builds keeps them on purpose.
leftovers() {
	find "$root/lib/modules" "$root/boot" "$root/usr/src" "$root/var/lib/dkms" "$root/var/lib/rpm-state" \
		-name "*$1*" 2>/dev/null | grep -v '/\.dkms-hook/cache/' | sed "s|^$root||"
	if [ -d "$root/var/lib/dkms" ]; then
		grep -rlF --exclude-dir=cache -- "$1" "$root/var/lib/dkms" 2>/dev/null | sed "s|^$root||; s|$| (text)|"
	fi
}
