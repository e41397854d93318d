# shellcheck shell=bash
# The repository that rows install from, bound read-only to /srv/lab in their roots. Each directory
# is a repository of dnf's; all but main are switched off, for rows to ask for (--enablerepo=):
#   main    kernels K1, K2, K3, modules, what the root stands for
#   next    labmod 1.1       own, own2  the self-made kernel and its next build
#   boot    the full-size kernel KB
#   broken  K2 whose kernel-core refuses to be installed, and a package that clashes with K2
#   other   dkms, a module that does not compile

# rpms AREA SPEC DEFINE…: builds a spec (its own place for each call; in $root).
rpms() {
	local area=$1 spec=$2 args=()
	shift 2
	for define; do args+=(--define "$define"); done
	rm -rf "$root/build/top"
	in_root "$root" rpmbuild -bb --quiet --target x86_64 --define '_topdir /build/top' --define '_buildhost lab' \
		--define "_rpmdir /build/out/$area" --define '_binary_payload w1.gzdio' \
		"${args[@]}" "/build/specs/$spec.spec" || die "could not build $spec $*"
}

# trees NAME RELEASE NEWRELEASE SIZE: $root/build/NAME and NAME-devel.
trees() {
	(
		LAB_CACHE=$APT_CACHE
		kernel_tree "$2" "$3" "$root/build/$1" "$4" && headers_tree "$2" "$3" "$root/build/$1-devel"
	) || die "could not make the tree of $3"
}

# fedora_kernel AREA TREE KREL [DEFINE]
fedora_kernel() {
	local area=$1 tree=$2 krel=$3 ukrel=$3 version=${3%%-*}
	local release=${krel#"$version"-}
	release=${release%.x86_64}
	# Not named by Fedora's rule: two dashes are too many for a version.
	[ "$krel" != "$KB" ] || version=${KB%%[+-]*} release=300.lab ukrel=${KB/-/_}
	shift 3
	rpms "$area" kernel "kv $version" "kr $release" "krel $krel" "ukrel $ukrel" "tree /build/$tree" "devel /build/$tree-devel" "$@"
}

module_rpm() { # AREA NAME VERSION NEEDS SOURCE
	local dir=$root/build/src/$2-$3
	mkdir -p "$root/build/src"
	cp -r "$5" "$dir"
	[ ! -e "$dir/$2.c" ] || sed -i "s/1\.0\"/$3\"/" "$dir/dkms.conf" "$dir/$2.c"
	rpms "$1" module "mname $2" "mver $3" "source ${dir#"$root"}" ${4:+"needs $4"}
}

# What the root has, by the names that rpms ask for.
base_provides() {
	printf '%s\n' /bin/sh /bin/bash bash gcc kmod make patch elfutils-libelf openssl python3-dnf 'rtld(GNU_HASH)'
	in_root "$root" sh -c 'ls /usr/lib/x86_64-linux-gnu/libc.so.6 /usr/lib/x86_64-linux-gnu/libgcc_s.so.1 \
		/usr/lib/x86_64-linux-gnu/libm.so.6 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 | /usr/lib/rpm/elfdeps --provides'
}

# make_repo: process 1 of a namespace of its own.
make_repo() {
	local root=$LAB_CACHE/mnt/root repo=$LAB_CACHE/repo area
	load_kernels
	mkdir -p "$LAB_CACHE/mnt"
	mount -t tmpfs -o size=60% lab "$LAB_CACHE/mnt"
	stack "$LAB_CACHE/base/trixie" "$LAB_CACHE/mnt/upper" "$LAB_CACHE/mnt/work" "$root"
	furnish "$root"
	mkdir -p "$root/build/out"
	cp -r "$RPM_LAB/specs" "$root/build/specs"
	base_provides >"$root/build/provides"
	rpms main base 'provides /build/provides'
	rpms main hello
	module_rpm main labmod 1.0 '' "$LAB/packages/labmod"
	module_rpm main labdep 1.0 labmod-dkms "$LAB/packages/labdep"
	module_rpm next labmod 1.1 '' "$LAB/packages/labmod"
	module_rpm other labbad 1.0 '' "$RPM_LAB/packages/labbad"
	dpkg-deb -x "$(LAB_CACHE=$APT_CACHE any_deb dkms)" "$root/build/dkms"
	cp -r "$RPM_LAB/packages/dkms" "$root/build/dkms-parts"
	rpms other dkms 'tree /build/dkms' 'parts /build/dkms-parts'

	trees kb "$KB" "$KB" full
	fedora_kernel boot kb "$KB"
	trees k1 "$R1" "$K1" small
	trees k2 "$R2" "$K2" small
	fedora_kernel main k1 "$K1"
	fedora_kernel main k2 "$K2"
	fedora_kernel broken k2 "$K2" 'refuse exit 1'
	rpms broken clash "krel $K2"
	trees k3 "$R2" "$K3" small
	fedora_kernel main k3 "$K3"
	trees own "$R2" "$KOWN" small
	rpms own single 'kr 1' "krel $KOWN" 'tree /build/own' 'devel /build/own-devel'
	(LAB_CACHE=$APT_CACHE && revised_headers "$R2" "$KOWN" "$root/build/own-devel" symvers) || die 'no revised headers'
	rpms own2 single 'kr 2' "krel $KOWN" 'tree /build/own' 'devel /build/own-devel'

	for area in "$root"/build/out/*; do
		in_root "$root" createrepo_c -q --simple-md-filenames "${area#"$root"}" || die "createrepo_c failed"
	done
	rm -rf "$repo.new"
	cp -r "$root/build/out" "$repo.new"
	rm -rf "$repo"
	mv "$repo.new" "$repo"
}
