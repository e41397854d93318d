# shellcheck shell=bash
# Trees of kernels for packages: Debian's, with the files and names that Arch's have. Kept beside the
# repository, because making them takes longer than making packages.

trees_dir() { printf '%s/kernels' "$LAB_CACHE"; }

# _say_in_header IMAGE RELEASE: makes the x86 boot header (offset of the text at 0x20e) say another
# release; mkinitcpio goes by it. The new one must not be longer.
_say_in_header() {
	local offset
	offset=$(($(od -An -tu2 -j $((0x20e)) -N 2 "$1") + 0x200))
	printf '%s (lab)\0' "$2" | dd of="$1" bs=1 seek="$offset" conv=notrunc status=none
}

# kernel_pair NAME RELEASE NEWRELEASE PKGBASE SIZE: trees NAME and NAME-headers.
kernel_pair() {
	local trees=$new dir
	dir=$trees/$1
	(
		LAB_CACHE=$APT_CACHE
		kernel_tree "$2" "$3" "$dir" "$5" && headers_tree "$2" "$3" "$dir-headers"
	) || die "could not make the tree of $3"
	[ "$2" = "$3" ] || _say_in_header "$dir/vmlinuz" "$3"
	echo "$4" >"$dir/pkgbase"
	rm -f "$dir/System.map"
}

# make_kernels: runs in a namespace of its own.
make_kernels() {
	local new=$LAB_CACHE/kernels.new
	load_kernels
	rm -rf "$new"
	mkdir -p "$new"
	kernel_pair k1 "$R1" "$K1" linux small
	kernel_pair k2 "$R2" "$K2" linux small
	kernel_pair kl "$R1" "$KL" linux-lts small
	kernel_pair kb "$KB" "$KB" linux full
	(LAB_CACHE=$APT_CACHE && revised_headers "$R1" "$K1" "$new/k1-revised" symvers) || die "no revised headers of $K1"
	rm -rf "$(trees_dir)"
	mv "$new" "$(trees_dir)"
}
