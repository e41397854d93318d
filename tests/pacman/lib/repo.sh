# shellcheck shell=bash
# The repository that rows install from, bound read-only to /srv/lab in their roots. Each directory
# is a repository of pacman's:
#   main    linux and linux-lts with headers, modules, generators, dkms
#   next    linux of the next release      bump     the same release in a new pkgrel, other headers
#   module  labmod 1.1                     modbump  labmod 1.0 in a new pkgrel, source changed
#   real    linux full-size, with its own release name, to be booted
#   other   a module that does not compile; a package that aborts transactions

# pkg AREA NAME VERSION DIR [INFO…]: packs DIR, and deletes it. INFO are lines of .PKGINFO(5).
pkg() {
	local area=$1 name=$2 version=$3 dir=$4 files out
	out=$root/build/$area
	shift 4
	mkdir -p "$out"
	{
		printf 'pkgname = %s\npkgbase = %s\npkgver = %s\npkgdesc = %s\nurl = http://localhost\n' \
			"$name" "$name" "$version" "of the dkms-hook lab"
		printf 'builddate = 1700000000\npackager = dkms-hook lab\nsize = %s\narch = x86_64\nlicense = GPL\n' \
			"$(du -sb "$dir" | cut -f1)"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$dir/.PKGINFO"
	chown -Rh 0:0 "$dir"
	mkdir -p "$root/build/dir"
	mount --bind "$dir" "$root/build/dir"
	files=$(cd "$dir" && ls -A | grep -v '^\.')
	# shellcheck disable=SC2086 # names without blanks
	in_root "$root" sh -c 'cd /build/dir && bsdtar -czf .MTREE --format=mtree \
		--options="!all,use-set,type,uid,gid,mode,time,size,sha256,link" .PKGINFO '"${files//$'\n'/ }"' &&
		bsdtar -cf - .MTREE .PKGINFO '"${files//$'\n'/ }" |
		zstd -q -1 -T0 -f -o "$out/$name-$version-x86_64.pkg.tar.zst" || die "could not pack $name"
	umount "$root/build/dir"
	rm -rf "$dir"
}

# kernel_pkg AREA PKGBASE VERSION RELEASE TREE HEADERS: the package and its headers.
kernel_pkg() {
	local area=$1 base=$2 version=$3 release=$4 dir
	dir=$(mktemp -d)
	mkdir -p "$dir/usr/lib/modules"
	cp -al "$(trees_dir)/$5" "$dir/usr/lib/modules/$release"
	pkg "$area" "$base" "$version" "$dir" 'depend = kmod' 'optdepend = linux-firmware: none here'
	dir=$(mktemp -d)
	mkdir -p "$dir/usr/lib/modules/$release" "$dir/usr/src"
	cp -al "$(trees_dir)/$6" "$dir/usr/lib/modules/$release/build"
	ln -s "../lib/modules/$release/build" "$dir/usr/src/$base"
	pkg "$area" "$base-headers" "$version" "$dir"
}

alpm_files() { # DIR SOURCE NAME: the hooks and the script of a package in packages/
	mkdir -p "$1/usr/share/libalpm/hooks" "$1/usr/share/libalpm/scripts"
	install -m 644 "$2"/*.hook "$1/usr/share/libalpm/hooks/"
	[ ! -e "$2/alpm-script" ] || install -m 755 "$2/alpm-script" "$1/usr/share/libalpm/scripts/$3"
}

generator_pkgs() {
	local dir source=$PACMAN_LAB/packages path
	dir=$(mktemp -d)
	install -Dm 755 "$source/mkinitcpio/mkinitcpio" "$dir/usr/bin/mkinitcpio"
	install -Dm 644 "$source/mkinitcpio/mkinitcpio.conf" "$dir/etc/mkinitcpio.conf"
	alpm_files "$dir" "$source/mkinitcpio" mkinitcpio
	pkg main mkinitcpio 39.2-1 "$dir" 'backup = etc/mkinitcpio.conf' 'provides = initramfs'
	# Debian's dracut, file by file; the hooks are ours.
	dir=$(mktemp -d)
	while read -r path; do
		[ ! -f "$root$path" ] && [ ! -L "$root$path" ] || (cd "$root" && cp -a --parents ".$path" "$dir/")
	done < <(cat "$root"/var/lib/dpkg/info/dracut-{core,install}.list)
	alpm_files "$dir" "$source/dracut"
	install -m 755 "$source/dracut/dracut-install" "$source/dracut/dracut-remove" "$dir/usr/share/libalpm/scripts/"
	install -Dm 644 "$source/dracut/lab.conf" "$dir/etc/dracut.conf.d/lab.conf"
	mv "$dir/usr/bin/dracut" "$dir/usr/bin/dracut.lab-real"
	install -m 755 "$source/dracut/counter" "$dir/usr/bin/dracut"
	pkg main dracut 106-1 "$dir" 'provides = initramfs'
}

# Debian's dkms with hooks that do what those of Arch's package do.
dkms_pkg() {
	local dir
	dir=$(mktemp -d)
	dpkg-deb -x "$(LAB_CACHE=$APT_CACHE any_deb dkms)" "$dir/deb"
	mkdir -p "$dir/usr/bin" "$dir/usr/lib" "$dir/etc/dkms" "$dir/var/lib/dkms"
	cp "$dir/deb/usr/sbin/dkms" "$dir/usr/bin/"
	cp -r "$dir/deb/usr/lib/dkms" "$dir/usr/lib/"
	cp "$dir/deb/etc/dkms/framework.conf" "$dir/etc/dkms/"
	rm -rf "$dir/deb"
	alpm_files "$dir" "$PACMAN_LAB/packages/dkms" dkms
	pkg main dkms 3.2.2-1 "$dir" 'depend = kmod' 'depend = make' 'backup = etc/dkms/framework.conf'
}

# make_repo: process 1 of a namespace of its own.
make_repo() {
	local root=$LAB_CACHE/mnt/root repo=$LAB_CACHE/repo area dir
	load_kernels
	mount -t tmpfs -o size=60% lab "$LAB_CACHE/mnt"
	stack "$LAB_CACHE/base/trixie" "$LAB_CACHE/mnt/upper" "$LAB_CACHE/mnt/work" "$root"
	furnish "$root"
	mkdir -p "$root/build"
	# Beside the trees: hard links in place of copies.
	export TMPDIR=$LAB_CACHE/tmp
	rm -rf "$TMPDIR"
	mkdir -p "$TMPDIR"
	kernel_pkg main linux 6.12.94.arch1-1 "$K1" k1 k1-headers
	kernel_pkg main linux-lts 6.12.90-1 "$KL" kl kl-headers
	kernel_pkg next linux 6.12.107.arch1-1 "$K2" k2 k2-headers
	kernel_pkg bump linux 6.12.94.arch1-2 "$K1" k1 k1-revised
	kernel_pkg real linux 6.12.107.lab-1 "$KB" kb kb-headers
	module_pkg main labmod 1.0 1 dkms "$LAB/packages/labmod"
	module_pkg main labdep 1.0 1 'dkms labmod-dkms' "$LAB/packages/labdep"
	module_pkg module labmod 1.1 1 dkms "$LAB/packages/labmod"
	module_pkg modbump labmod 1.0 2 dkms "$LAB/packages/labmod" '/* patched by the packager */'
	module_pkg other labbad 1.0 1 dkms "$PACMAN_LAB/packages/labbad"
	generator_pkgs
	dkms_pkg
	dir=$(mktemp -d)
	install -Dm 644 /dev/null "$dir/usr/share/hello/hello"
	pkg main hello 2.12-1 "$dir"
	dir=$(mktemp -d)
	install -Dm 644 "$PACMAN_LAB/packages/refuse/75-refuse.hook" -t "$dir/usr/share/libalpm/hooks/"
	pkg other refuse 1-1 "$dir"
	for area in "$root"/build/*/; do
		area=${area%/}
		[ "${area##*/}" != dir ] || continue
		in_root "$root" sh -c "cd /build/${area##*/} && repo-add -q ${area##*/}.db.tar.gz *.pkg.tar.zst" || die 'repo-add failed'
	done
	rmdir "$root/build/dir"
	rm -rf "$repo.new" "$TMPDIR"
	cp -r "$root/build" "$repo.new"
	rm -rf "$repo"
	mv "$repo.new" "$repo"
}
