# shellcheck shell=bash
# Words of a scenario. A step is one command; what it left behind is written to $steps/NN.*:
#   cmd, code, said (its stdout), err, status (stdout of `dkms status`), tree (see snapshot.sh),
#   declared (differences that are known: "row<TAB>pattern")

STEP_LIMIT=90 # seconds
step=0
n=       # the recording of the last step of this program, without suffix
place=/ # working directory of commands

# plain: names that depend on the machine or on the cache's kernels become what they stand for.
plain() { sed -e "s/${KR//./\\.}/KR/g" -e "s/${REAL//./[.]}/REAL/g" -e 's/\.tmp_\([^_]*\)_....../.tmp_\1_XXXXXX/' -e 's|tmp/dkms\.......|tmp/dkms.XXXXXX|'; }

# does COMMAND…: one step; compared are its exit code and what it left.
does() {
	local code=0 before=$n
	step=$((step + 1))
	printf -v n '%s/%02d' "$steps" "$step"
	printf '%s\n' "$*" | plain >"$n.cmd"
	: >"$n.declared"
	in_root "$root" env -C "$place" timeout -k 5 "$STEP_LIMIT" "$@" >"$n.said.raw" 2>"$n.err" </dev/null || code=$?
	echo "$code" >"$n.code"
	plain <"$n.said.raw" >"$n.said.all"
	rm "$n.said.raw"
	snapshot | plain | LC_ALL=C sort >"$n.tree"
	# DKMS has no memory but the tree, and takes its time to read it.
	if [ "$PROGRAM" = dkms ] && [ -e "$before.status" ] && cmp -s "$before.tree" "$n.tree"; then
		cp "$before.status" "$n.status"
	else
		in_root "$root" dkms status 2>/dev/null </dev/null | plain >"$n.status"
	fi
	[ "$variant" = "${variant%-first}" ] || read_by_other >"$n.other"
}

# read_by_other: what the other program says about the same tree.
read_by_other() {
	local other=dkms
	[ "$PROGRAM" != dkms ] || other=dkms-hook
	in_root "$root" "/srv/tools/$other/usr/sbin/dkms" status 2>/dev/null </dev/null | plain
}

# says COMMAND…: the same, and what it prints on stdout is compared as well: all of `status`, and of
# `autoinstall` the lines that sum up, which are what scripts look for.
says() {
	does "$@"
	case " $* " in
	*' autoinstall '*) grep -E '^Autoinstall on | autoinstall (failed|deferred)' "$n.said.all" >"$n.said" ;;
	*) cp "$n.said.all" "$n.said" ;;
	esac
}

# at DIR COMMAND…: the step in that working directory.
at() {
	local place=$1
	shift
	"$@"
}

# differs ROW PATTERN…: the last step's known differences (globs), each of which has to occur, and
# the row of the table that explains them, by its first cell.
differs() {
	local row=$1 pattern
	shift
	for pattern; do printf '%s\t%s\n' "$row" "$pattern" >>"$n.declared"; done
}

# hand_over: from here on the other program works on what the first has left.
hand_over() {
	case $variant in
	dkms-first) use_program dkms-hook ;;
	dkms-hook-first) use_program dkms ;;
	esac
	n=
}

# hand_back: from here on the first program again.
hand_back() {
	use_program "${variant%-first}"
	n=
}

# run_scenario GROUP NAME VARIANT DIR: process 1 of its namespace; the recording goes to DIR.
run_scenario() {
	local group=$1 name=$2 variant=$3 steps=$4 root base REAL
	. "$(kernels_file trixie)"
	REAL=$R2
	base=$LAB_CACHE/mnt/$name-$variant
	root=$base/root
	stack "$WORLD/upper:$(root_dir trixie)" "$base/upper" "$base/work" "$root"
	furnish "$root"
	mkdir -p "$root/srv/tools"
	mount --bind "$TOOLS" "$root/srv/tools"
	use_program "${variant%-first}"
	. "$DIFF/scenarios/$group"
	"$name"
	: >"$steps/complete"
}
