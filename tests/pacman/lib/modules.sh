# shellcheck shell=bash
# Packages of modules as Arch has them: the source below /usr/src, `depends=(dkms)`, and nothing else:
# no scriptlet, what has to be done is the hooks' work.

# module_pkg AREA NAME VERSION PKGREL DEPENDS SOURCE [EXTRA]: EXTRA is a line for the end of its C file.
module_pkg() {
	local area=$1 name=$2 version=$3 pkgrel=$4 depends=$5 source=$6 extra=${7:-} dir depend args=()
	dir=$(mktemp -d)
	mkdir -p "$dir/usr/src"
	cp -r "$source" "$dir/usr/src/$name-$version"
	if [ -e "$dir/usr/src/$name-$version/$name.c" ]; then
		sed -i "s/1\.0\"/$version\"/" "$dir/usr/src/$name-$version/"{dkms.conf,"$name.c"}
	fi
	[ -z "$extra" ] || printf '%s\n' "$extra" >>"$dir/usr/src/$name-$version/$name.c"
	for depend in $depends; do args+=("depend = $depend"); done
	pkg "$area" "$name-dkms" "$version-$pkgrel" "$dir" "${args[@]}"
}
