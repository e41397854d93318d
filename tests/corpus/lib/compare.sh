# shellcheck shell=bash
# What came of a row with both tools, side by side.

# outcome DIR: sets rc, step, wall, cpu, status, count of one result.
outcome() {
	local add_rc='' build_rc='' install_rc='' add_wall=0 build_wall=0 install_wall=0 add_cpu=0 build_cpu=0 install_cpu=0
	step='' rc='' status='' module='' wall=- cpu=- count=0
	[ -e "$1/end" ] || { step=unfinished && return 1; }
	. "$1/result"
	if [ "$add_rc" != 0 ]; then step=add rc=$add_rc; elif [ "$build_rc" != 0 ]; then
		step=build rc=$build_rc
	else step=install rc=$install_rc; fi
	read -r wall cpu < <(awk "BEGIN { print $add_wall + $build_wall + $install_wall, $add_cpu + $build_cpu + $install_cpu }")
	count=$(sed -n '\,^/lib/modules/,p' "$1/modules" | wc -l)
}

# verdict: of "step rc": built, or how it was refused.
verdict() {
	case $1/$2 in
	install/0) echo built ;;
	build/77 | install/77) echo excluded ;;
	*) echo "$1: $2" ;;
	esac
}

# files DIR COLUMN…: the modules of a result; the compression of a file is not part of its name.
files() {
	local dir=$1
	shift
	sed 's/^\([^ ]*\.ko\)[.a-z]* /\1 /' "$dir/modules" | cut -d' ' -f"$1" | sort
}

# compare ROW KERNEL: sets all of `outcome` with the prefixes d_ and o_, bytes, and differences
# (empty when both did the same).
compare() {
	local d o
	d=$(result_dir "$1" "$2" dkms) o=$(result_dir "$1" "$2" ours)
	differences=
	outcome "$d" || differences+='no result of dkms; '
	d_step=$step d_rc=$rc d_wall=$wall d_cpu=$cpu d_status=$status d_count=$count
	outcome "$o" || differences+='no result of ours; '
	o_step=$step o_rc=$rc o_wall=$wall o_cpu=$cpu o_status=$status o_count=$count
	bytes=-
	[ -z "$differences" ] || return 1
	[ "$d_step $d_rc" = "$o_step $o_rc" ] || differences+="dkms $(verdict $d_step $d_rc), ours $(verdict $o_step $o_rc); "
	[ "$d_status" = "$o_status" ] || differences+="status: dkms [$d_status] ours [$o_status]; "
	if [ "$(files "$d" 1)" != "$(files "$o" 1)" ]; then
		differences+="files: $(diff <(files "$d" 1) <(files "$o" 1) | grep '^[<>]' | tr '\n' ' '); "
		bytes=no
	elif [ "$(files "$d" 1,2)" != "$(files "$o" 1,2)" ]; then
		differences+="content: $(diff <(files "$d" 1,2) <(files "$o" 1,2) | sed -n 's/^> \([^ ]*\).*/\1/p' | tr '\n' ' '); "
		bytes=no
	elif [ "$d_count" != 0 ]; then
		bytes=yes
		[ "$(files "$d" 1,3)" = "$(files "$o" 1,3)" ] || bytes='yes, signature differs'
	fi
	if [[ $2 != *-cloud-* ]]; then
		case $(verdict "$d_step" "$d_rc")/$(attributes "$1" | grep -x fails) in
		built/fails) differences+='dkms builds it, unlike what the file packages says; ' ;;
		built/ | */fails) ;;
		*) differences+="dkms does not build it, which is news; " ;;
		esac
	fi
	[ ! -s "$o/faults" ] || differences+="ours: $(head -n 3 "$o/faults" | tr '\n' ';') "
	[ -z "$differences" ]
}

table_head() {
	echo '| package | version | kernel | dkms | ours | modules | same bytes | dkms: wall / cpu s | ours: wall / cpu s |'
	echo '|---|---|---|---|---|---|---|---|---|'
}

# table_line ROW KERNEL: after compare.
table_line() {
	local flavour=generic
	case $2 in *-cloud-*) flavour=cloud ;; "$(older_kernel)") flavour=$2 ;; esac
	printf '| %s | %s | %s | %s | %s | %s | %s | %s / %s | %s / %s |\n' "$1" "$(version_of "$1")" "$flavour" \
		"$(verdict "$d_step" "$d_rc")" "$(verdict "$o_step" "$o_rc")" "$o_count" "$bytes" \
		"$(rounded "$d_wall")" "$(rounded "$d_cpu")" "$(rounded "$o_wall")" "$(rounded "$o_cpu")"
}

# total LINES…: of the numbers in table lines on stdin.
total() {
	awk -F' *[|/] *' '$5 == "built" { built++; modules += $7; if ($8 == "yes") same++; d += $10; o += $12 }
		$5 == "excluded" { excluded++ } $5 ~ /^build: / { failing++ }
		END {
			printf "%d built (%d modules, the same bytes in %d of %d), %d excluded, %d that do not compile.\n",
				built, modules, same, built, excluded, failing
			if (o) printf "Processor time of what was built: dkms %d s, ours %d s (%.3f).\n", d, o, o / d
		}'
}

rounded() { if [ "$1" = - ]; then echo -; else LC_ALL=C printf '%.1f' "$1"; fi; }

# write_document: the table of this run takes the place of the one in docs/corpus.md.
write_document() {
	local document=$REPO_TOP/docs/corpus.md
	{
		sed '/^## Results$/q' "$document"
		printf '\nkernels: %s.\n\n' "$(corpus_kernels | sed 's/ / (cloud) and /; s/$/ (generic)/')"
		total <"$CORPUS_OUT/corpus.md"
		echo
		cat "$CORPUS_OUT/corpus.md"
	} >"$document.new"
	mv "$document.new" "$document"
}
