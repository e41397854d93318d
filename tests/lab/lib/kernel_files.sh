# shellcheck shell=bash
# Real kernels without a distribution: the files of Debian's kernel and headers packages as plain
# trees, under any release, for packages in other file layouts (kernel-core and kernel-devel, linux
# and linux-headers). Needs say.sh, paths.sh and a cache that tests/lab/setup has filled.
#
# A renamed release is one in name only: its headers build modules whose vermagic is the new name,
# while its image and the modules that came with it still say the old one. So a kernel that is to be
# booted keeps its own release.

# any_deb PACKAGE: the path of that package in the cache, whatever suite it is from.
any_deb() {
	local found
	found=$(find "$LAB_CACHE/debs" -mindepth 2 -maxdepth 2 -name "$1_*.deb" | sort -V | tail -n1)
	[ -n "$found" ] || die "not in the cache: $1"
	printf '%s\n' "$found"
}

# _unpack DIR PACKAGE…
_unpack() {
	local dir=$1 deb
	shift
	mkdir -p "$dir"
	for deb; do
		deb=$(any_deb "$deb") || return
		dpkg-deb -x "$deb" "$dir" || return
	done
}

# _say_release OLD NEW FILE…: in the texts that name their release.
_say_release() {
	local old=${1//./\\.} new=$2
	shift 2
	sed -i "s/$old/$new/g" "$@"
}

# _module_stem: names of module files, as lsmod has them.
_module_stem() { sed 's|.*/||; s/\.ko.*//; s/-/_/g'; }

# _thin_modules TREE: leaves the block drivers and ext4, with what those need.
_thin_modules() {
	local tree=$1 all keep more before=
	all=$(cd "$tree" && find kernel -name '*.ko*' | while read -r path; do
		printf '%s %s\n' "$(_module_stem <<<"$path")" "$path"
	done)
	keep=$(awk '$2 ~ "/drivers/block/|/fs/ext4/" { print $1 }' <<<"$all" | sort -u)
	while [ "$keep" != "$before" ]; do
		before=$keep
		more=$(cd "$tree" && awk 'NR == FNR { want[$1]; next } $1 in want { print $2 }' \
			<(echo "$keep") <(echo "$all") | xargs -r /sbin/modinfo -F depends -- | tr ',-' '\n_')
		keep=$(printf '%s\n%s\n' "$keep" "$more" | grep . | sort -u)
	done
	awk 'NR == FNR { want[$1]; next } !($1 in want) { print $2 }' <(echo "$keep") <(echo "$all") |
		(cd "$tree" && xargs -r rm -f --)
	find "$tree/kernel" -type d -empty -delete
}

# kernel_tree RELEASE NEWRELEASE DESTDIR [small|full]: DESTDIR becomes what /lib/modules/NEWRELEASE
# is on Fedora and Arch when the kernel package has been unpacked and no depmod has run: vmlinuz,
# config, System.map, modules.builtin*, modules.order, kernel/. RELEASE is one of kernels_file's.
# small (the default) keeps few modules; a boot into an initramfs needs none of the others.
kernel_tree() {
	local old=$1 new=$2 dest=$3 size=${4:-small} work tree part
	work=$(mktemp -d)
	tree=$work/usr/lib/modules/$old
	# In one package until 7.1, in three since.
	_unpack "$work" "linux-image-$old" || return
	[ -d "$tree/kernel" ] || _unpack "$work" "linux-base-$old" "linux-binary-$old" "linux-modules-$old" || return
	for part in vmlinuz config System.map; do
		[ ! -e "$work/boot/$part-$old" ] || mv "$work/boot/$part-$old" "$tree/$part"
	done
	rm -f "$tree/build" "$tree/source"
	if [ "$size" = small ]; then
		_thin_modules "$tree"
	fi
	(cd "$tree" && find kernel -name '*.ko*' | sed 's/\.\(xz\|zst\|gz\)$//' | sort >modules.order)
	_say_release "$old" "$new" "$tree/config"
	rm -rf "$dest"
	mkdir -p "$(dirname "$dest")"
	mv "$tree" "$dest"
	rm -rf "$work"
}

# headers_tree RELEASE NEWRELEASE DESTDIR: DESTDIR becomes one directory of headers that can stand
# anywhere (/usr/src/kernels/NEWRELEASE, /usr/lib/modules/NEWRELEASE/build): `make -C DESTDIR M=…`
# builds modules for NEWRELEASE with the compiler that is called gcc.
headers_tree() {
	local old=$1 new=$2 dest=$3 work flavour common kbuild depends file
	work=$(mktemp -d)
	depends=$(dpkg-deb -f "$(any_deb "linux-headers-$old")" Depends | tr ',' '\n')
	common=$(grep -oE 'linux-headers-[^ ]+-common' <<<"$depends")
	kbuild=$(grep -oE 'linux-kbuild-[^ ]+' <<<"$depends")
	_unpack "$work" "linux-headers-$old" "$common" "$kbuild" || return
	flavour=$work/usr/src/linux-headers-$old
	common=$work/usr/src/$common
	kbuild=$work/usr/lib/$kbuild
	# The parts refer to each other by links and absolute paths; here each has its place in one tree.
	# vmlinux (type information for BTF) and .kernelvariables (names the compiler of the suite) stay out.
	rm -f "$common/scripts" "$common/tools" "$flavour/scripts" "$flavour/tools" \
		"$flavour/Makefile" "$flavour/.kernelvariables" "$flavour/vmlinux"
	find "$common/arch" -mindepth 1 -maxdepth 1 ! -name x86 -exec rm -rf {} +
	cp -a "$flavour/." "$common/"
	cp -a "$kbuild/scripts" "$kbuild/tools" "$common/"
	# Wrappers that choose among builds for several architectures.
	mv "$common/scripts/mod/modpost.real-lsb-64" "$common/scripts/mod/modpost"
	mv "$common/tools/objtool/objtool.real-x86" "$common/tools/objtool/objtool"
	rm -f "$common"/scripts/mod/modpost.real-* "$common"/tools/objtool/objtool.real-*
	for file in .config include/generated/{utsrelease.h,autoconf.h,rustc_cfg} \
		include/config/{kernel.release,auto.conf}; do
		[ ! -e "$common/$file" ] || _say_release "$old" "$new" "$common/$file"
	done
	rm -rf "$dest"
	mkdir -p "$(dirname "$dest")"
	mv "$common" "$dest"
	rm -rf "$work"
}

# revised_headers RELEASE NEWRELEASE DESTDIR symvers|config [SYMBOL]: as headers_tree, but as another
# build of the same release has them: with another CRC of one symbol (default: module_layout, which
# every module imports; a symbol that a module does not import leaves that module's ABI as it was), or
# with another configuration that changes no symbol. Kernels without checksums (sid's 7.x) know only config.
revised_headers() {
	local dest=$3 what=$4 symbol=${5:-module_layout} file
	headers_tree "$1" "$2" "$dest" || return
	sed -i 's/^\(#define UTS_VERSION ".*\) (/\1+lab1 (/' "$dest/include/generated/utsversion.h"
	case $what in
	symvers)
		grep -qP "^0x[0-9a-f]+\t$symbol\t" "$dest/Module.symvers" || die "no such symbol: $symbol"
		sed -i "s/^0x[0-9a-f]*\(\t$symbol\t\)/0x0badcafe\1/" "$dest/Module.symvers"
		;;
	config)
		for file in .config include/config/auto.conf; do
			sed -i 's/^CONFIG_LOG_BUF_SHIFT=.*/CONFIG_LOG_BUF_SHIFT=21/' "$dest/$file"
		done
		sed -i 's/^\(#define CONFIG_LOG_BUF_SHIFT\) .*/\1 21/' "$dest/include/generated/autoconf.h"
		;;
	*) die "revised_headers: symvers or config, not $what" ;;
	esac
}
