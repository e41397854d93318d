# shellcheck shell=bash
# Everything that the differential test is made of; DIFF is its directory.

LAB=$(cd "$DIFF/../lab" && pwd)
for part in say paths need namespace layers repack; do . "$LAB/lib/$part.sh"; done
export DIFF_OUT=${DIFF_OUT:-$REPO_TOP/target/differential} LAB_OUT
for part in world toy step snapshot compare rows report kept; do . "$DIFF/lib/$part.sh"; done

# What builds write outside of their directories is compared, so they are not confined here.
declare -F unconfined_in_root >/dev/null || eval "unconfined_$(declare -f in_root)"
in_root() {
	local root=$1
	shift
	unconfined_in_root "$root" env DKMS_HOOK_UNCONFINED='*: what builds write is compared' "$@"
}

# variants GROUP: who works on the right side.
variants() {
	case $1 in
	interchange) echo dkms-first dkms-hook-first ;;
	*) echo dkms-hook ;;
	esac
}

# scenarios [NAME…]: "group name" of these, or of all. A group is a file in scenarios/, a scenario a
# function in it whose name does not start with an underscore.
scenarios() {
	local group name all=''
	for group in "$DIFF"/scenarios/*; do
		group=${group##*/}
		# In the order of the file.
		all+=$(sed -n "s/^\([a-z0-9][a-z0-9-]*\)() {.*/$group \1/p" "$DIFF/scenarios/$group")$'\n'
	done
	all=$(sed '/^$/d' <<<"$all")
	if [ $# -eq 0 ]; then
		printf '%s\n' "$all"
		return
	fi
	for name; do
		if [ -f "$DIFF/scenarios/$name" ]; then
			grep "^$name " <<<"$all"
		else
			grep " $name\$" <<<"$all" || die "no such scenario: $name (see --list)"
		fi
	done
}
