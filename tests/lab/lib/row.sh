# shellcheck shell=bash
# One row: a root of its own, the events, and what is measured after them.
#
# A row is a file in rows/ that sets
#   TITLE      what happens
#   FROM       the layer to start from (bare, ready, one), SUITE the suite (trixie)
#   BUILDS     the builds that have to run: "module@kernel=times …", "" for none
#   MAY_BUILD  builds that may run as well, in the same form
#   CACHED     builds that come out of the cache instead of running, in the same form
#   REMOVED    releases whose module files may vanish
#   GONE       releases of which nothing may be left
#   IN_IMAGE   modules that every initramfs has to contain ("labmod labdep")
#   ABSENT     kernels where these modules are not to be expected (waiting for headers)
#   UNPLANNED  builds that no plan of the program announces (see trace.sh)
#   SECONDS_LIMIT, DKMS_FAILS (yes: Debian's dkms is known not to pass), SKIP (why it is left out)
# and defines events, and perhaps before (not measured) and verify.

row_defaults() {
	TITLE='' FROM=ready SUITE=trixie BUILDS='' MAY_BUILD='' CACHED='' UNPLANNED='' REMOVED='' GONE='' ABSENT=''
	IN_IMAGE='labmod labdep' SECONDS_LIMIT=240 DKMS_FAILS='' SKIP=''
	before() { :; }
	verify() { :; }
}

# load_row NAME: in the caller's shell, so that $R1 and its like are known to the row.
load_row() {
	local suite
	row_defaults
	for suite in trixie sid; do
		# Not there as long as nothing of that suite was fetched.
		[ ! -e "$(kernels_file "$suite")" ] || . "$(kernels_file "$suite")"
	done
	. "$LAB/rows/$1"
}

fault() { printf '%s\n' "$*" >>"$faults"; }

# does COMMAND…: in the root; it has to succeed.
does() { does_with 0 "$@"; }

# does_with STATUS COMMAND…: in the root; it has to end with that status ("any" for whatever).
# What it printed is in $said. The program notes its plans beside the lab's counters (trace.sh).
does_with() {
	local wanted=$1 got=0
	shift
	printf '\n$ %s\n' "$*"
	said=$row_dir/said
	in_root "$root" env DKMS_HOOK_TRACE=/var/log/lab/trace "$@" >"$said" 2>&1 </dev/null || got=$?
	cat "$said"
	printf '[status %s]\n' "$got"
	[ "$wanted" = any ] || [ "$got" = "$wanted" ] || fault "status $got (not $wanted) from: $*"
}

# says TEXT: the last command printed it (extended regular expression).
says() { grep -qE -- "$1" "$said" || fault "the output lacks: $1"; }
says_not() { ! grep -qE -- "$1" "$said" || fault "the output has: $1"; }

# holds COMMAND…: a check in the row's own shell.
holds() { "$@" >/dev/null 2>&1 || fault "not so: ${*//"$root"/}"; }

# nowhere TEXT DIR: no file below the root's DIR has it.
nowhere() { ! grep -rqsF -- "$1" "$root$2" || fault "$1 is named in $(grep -rlF -- "$1" "$root$2" | tr '\n' ' ')"; }

# debs AREA [PATTERN]…: paths, inside the root, of packages of the lab's repository.
debs() {
	local area=$1 pattern
	shift
	[ $# -gt 0 ] || set -- '*'
	for pattern; do
		(cd "$root/srv/lab/$area" && printf '%s\n' $pattern) | sed "s|^|/srv/lab/$area/|; /[*]/d"
	done
}

# stands_in WORDS STATUS [TEXT]: from now on a call of our program that begins with these words prints the text, does
# nothing else and ends with this status. All other calls reach it. stands_in_no_more puts it back.
stands_in() {
	local program=$root/usr/sbin/dkms-hook
	[ ! -L "$root/usr/sbin" ] && [ -e "$program" ] || program=$root/usr/bin/dkms-hook
	if [ ! -e "$root/opt/real/dkms-hook" ]; then
		mkdir -p "$root/opt/real"
		mv "$program" "$root/opt/real/dkms-hook"
	fi
	printf '#!/bin/sh\ncase "$*" in\n"%s"*)\n\t[ -z '"'%s'"' ] || echo '"'%s'"'\n\texit %s ;;\nesac\nexec /opt/real/dkms-hook "$@"\n' \
		"$1" "${3:-}" "${3:-}" "$2" >"$program"
	chmod 755 "$program"
	stood_in=$program
}
stands_in_no_more() {
	mv "$root/opt/real/dkms-hook" "$stood_in"
	rmdir "$root/opt/real"
}

# everything: each file that a transaction may change, with its content.
everything() {
	(cd "$root" && find boot etc usr/src lib/modules/. usr/lib/modules/. opt var/lib/dkms var/lib/dpkg/info \
		var/lib/dpkg/status var/lib/pacman/local -type f -print0 2>/dev/null | sort -z | xargs -0 sha256sum)
	in_root "$root" sh -c 'rpm -qa 2>/dev/null | sort'
}

apt_get() { does apt-get -q "$@"; }

# lines WORD…: one per line, sorted.
lines() { printf '%s\n' "$@" | sed '/^$/d' | sort; }

check_builds() {
	local want got
	want=$(lines $BUILDS)
	got=$(builds | grep -vFx -f <(lines $MAY_BUILD) | sort)
	[ "$want" = "$got" ] || fault "builds: wanted [${want//$'\n'/ }] ran [${got//$'\n'/ }]"
	builds_wanted=$(tally "$want")
	[ -z "$MAY_BUILD" ] || builds_wanted="at most $(tally "$(lines $BUILDS $MAY_BUILD)")"
	builds_ran=$(tally "$(builds)")
}

# tally LINES: of "module@kernel=times", how many of them, and how often each was built.
tally() {
	[ -n "$1" ] || { echo 0; return; }
	printf '%s modules, %s each\n' "$(wc -l <<<"$1")" "$(cut -d= -f2 <<<"$1" | sort -nu | paste -sd/)"
}

# Files change where a build ran, and vanish where the kernel goes; nothing else is touched.
check_changes() {
	local name
	changed=$(changed_files "$row_dir/files.before" "$row_dir/files.after")
	while read -r name; do
		case $name in
		'') ;;
		-*) [[ " $GONE $REMOVED " == *" ${name##*@} "* ]] || fault "module file vanished: ${name#-}" ;;
		*) [[ "$BUILDS $MAY_BUILD $CACHED" == *"@${name##*@}="* ]] || fault "module file touched: $name" ;;
		esac
	done <<<"$changed"
}

check_images() {
	local kernel module text
	for kernel in $(kernels_present); do
		[[ " $ABSENT " != *" $kernel "* ]] || continue
		text=$(initramfs_faults "$kernel" $IN_IMAGE)
		for module in $IN_IMAGE; do
			in_root "$root" modprobe -S "$kernel" -n "$module" >/dev/null 2>&1 ||
				fault "modprobe does not find $module for $kernel"
		done
		[ -n "$text" ] || continue
		images_ok=no
		fault "${text//$'\n'/; }"
	done
}

check_packages() {
	local audit
	audit=$(in_root "$root" dpkg --audit)
	[ -z "$audit" ] || fault "dpkg --audit: $(head -n 3 <<<"$audit" | tr '\n' ' ')"
}

check_leftovers() {
	local kernel
	for kernel in $GONE; do leftovers "$kernel"; done >"$row_dir/leftovers"
	[ ! -s "$row_dir/leftovers" ] || fault "left of $GONE: $(tr '\n' ' ' <"$row_dir/leftovers")"
}

check_dry_run() {
	if [ "$LAB_UNDER_TEST" = dkms ]; then
		dry=-
		return
	fi
	does dkms-hook --dry-run
	if grep -qi 'nothing to do' "$said"; then dry=clean; else
		dry=no
		fault "dry run: $(head -n 3 "$said" | tr '\n' ' ')"
	fi
}

# run_row NAME: process 1 of the row's namespace. Its results go to $LAB_OUT/rows/NAME.result.
run_row() {
	local name=$1 row_dir root faults said images_made builds_ran builds_wanted changed images_ok=yes dry
	load_row "$name"
	row_dir=$LAB_CACHE/mnt/$LAB_UNDER_TEST/row-$name
	root=$row_dir/root
	faults=$LAB_OUT/rows/$name.faults
	mkdir -p "$row_dir"
	: >"$faults"
	stack "$(lower_of "$SUITE" "$FROM")" "$row_dir/upper" "$row_dir/work" "$root"
	furnish "$root"
	attach_repository "$root" "$SUITE"
	before
	printf '\n===== events\n'
	reset_counters
	module_files >"$row_dir/files.before"
	events
	module_files >"$row_dir/files.after"
	printf '\n===== checks\n'
	images_made=$(images_made)
	check_builds
	check_changes
	check_trace
	check_images
	check_packages
	check_leftovers
	check_dry_run
	verify
	{
		printf 'wanted=%q\nran=%q\nimages=%s\ndry=%s\n' "$builds_wanted" "$builds_ran" "$images_ok" "$dry"
		printf 'made=%s\n' "$images_made"
		printf 'left=%s\n' "$(wc -l <"$row_dir/leftovers")"
		printf 'changed=%q\n' "$(tr '\n' ' ' <<<"$changed")"
	} >"$LAB_OUT/rows/$name.result"
	cat "$faults"
	[ ! -s "$faults" ]
}
