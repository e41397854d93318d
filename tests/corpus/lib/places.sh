# shellcheck shell=bash
# Where the corpus keeps things, and what is known about its rows. A row is NAME[@SUITE][=git]; the
# last one does not take the source from /usr/src, but from a git checkout in somebody's home.

CORPUS=${CORPUS:-$REPO_TOP/tests/corpus}
CORPUS_CACHE=$LAB_CACHE/corpus
CORPUS_SUITE=trixie

# What builds of module packages need beyond the base root. The packages that need them say so in
# their Depends, mostly.
build_dependencies() {
	echo libxtables-dev pkgconf libelf-dev xtables-addons-common perl libpython3-stdlib python3 gawk \
		autoconf automake libtool bison flex bc git
}

# deb_of ROW: the fetched package.
deb_of() {
	local deb
	deb=$(awk -v row="${1%=git}" '$1 == row { print $2 }' "$CORPUS_CACHE/fetched" 2>/dev/null)
	[ -n "$deb" ] && printf '%s/debs/%s\n' "$CORPUS_CACHE" "$deb"
}

version_of() { dpkg-deb -f "$(deb_of "$1")" Version; }

# attribute ROW WORD: is it said of that row? value ROW KEY: of KEY=VALUE.
attributes() { awk -v row="$1" '$1 == row { for (i = 2; i <= NF; i++) print $i }' "$CORPUS/packages"; }
attribute() { attributes "$1" | grep -qFx -- "$2"; }
value() { attributes "$1" | sed -n "s/^$2=//p"; }

# rows_with PATTERN: the rows of which something like that is said.
rows_with() {
	awk -v pattern="$1" '/^[^#]/ { for (i = 2; i <= NF; i++) if ($i ~ pattern) { print $1; next } }' "$CORPUS/packages"
}

# result_dir ROW KERNEL TOOL
result_dir() { printf '%s/results/%s/%s/%s' "$CORPUS_CACHE" "$1_$(version_of "$1")" "$2" "$3"; }

corpus_kernels() { (. "$(kernels_file $CORPUS_SUITE)" && echo "$R2 $G"); }
older_kernel() { (. "$(kernels_file $CORPUS_SUITE)" && echo "${R1/-cloud-/-}"); }

# kernels_of ROW: for which kernels it runs.
kernels_of() {
	local kernel
	if attribute "$1" older-kernel; then
		older_kernel
		return
	fi
	for kernel in $(corpus_kernels); do
		case $kernel in
		*-cloud-*) [ -n "${dozen:-}" ] && attribute "$1" ci-generic && continue ;;
		*) [ -n "${dozen:-}" ] && attribute "$1" ci-cloud && continue ;;
		esac
		echo "$kernel"
	done
}

# needs_of ROW: packages that are unpacked with it: other modules, a kernel that is not in the root.
needs_of() {
	local kernel
	value "$1" with
	attribute "$1" older-kernel || return 0
	kernel=$(older_kernel)
	printf '%s\n' "linux-image-$kernel" "linux-headers-$kernel" "linux-headers-${kernel%-amd64}-common" \
		"linux-kbuild-${kernel%-amd64}"
}
