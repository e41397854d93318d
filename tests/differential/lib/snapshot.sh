# shellcheck shell=bash
# What is on disk, one line per name: "path<TAB>type mode owner [target or content]".
#
# Complete for the trees that others read; anywhere else everything that changed. Left out are the
# notes of dkms-hook (.dkms-hook*), which DKMS never looks at, and logs of the lab. Modules are compared
# uncompressed: two programs need not compress to the same bytes; so are other archives, by their
# members. Of a log, and of a key made by the scenario, counts that it is there.

TREES='var/lib/dkms usr/src etc/dkms lib/modules boot'

# unsigned: the module on stdin, without its signature when a scenario says that each side has a key
# of its own (own_keys=yes).
unsigned() {
	if [ -z "${own_keys:-}" ]; then
		cat
	else
		cat >"$base/unsigned" && strip -g "$base/unsigned" && cat "$base/unsigned"
	fi
}

# contents: "path<TAB>digest" of every regular file that this scenario wrote.
contents() {
	local file
	cd "$base/upper" || return
	find . -type f ! -name '.dkms-hook*' ! -path './var/log/lab/*' ! -name '*.log' \
		! -name '*.ko.gz' ! -name '*.ko.xz' ! -name '*.ko.zst' ! -name 'mok.*' ! -name '*.tar.*' -print0 |
		xargs -0r sha256sum | sed 's|^\(............\)[^ ]* *\./|\1\t|'
	find . -type f \( -name '*.ko.gz' -o -name '*.ko.xz' -o -name '*.ko.zst' \) | while read -r file; do
		case $file in
		*.gz) gzip -dc "$file" ;;
		*.xz) xz -dc "$file" ;;
		*.zst) zstd -qdc "$file" ;;
		esac 2>/dev/null | unsigned | sha256sum | sed "s|^\(............\).*|\1\t${file#./}|"
	done
	find . -type f -name 'mok.*' -printf 'written\t%P\n'
}

# members: "archive: path<TAB>type mode owner target digest" of everything in archives that this
# scenario wrote.
members() {
	local archive dir
	find "$base/upper" -name '*.tar.*' -type f -size +0 | while read -r archive; do
		dir=$(mktemp -d -p "$base")
		tar -C "$dir" --same-permissions -xf "$archive" 2>/dev/null
		(
			cd "$dir" || exit
			find . ! -type f -printf '%P\t%y %m %U:%G %l\n'
			find . -type f -printf '%P\t%y %m %U:%G ' \
				-exec sh -c 'case $1 in *.log) echo ;; *) sha256sum "$1" | cut -c1-12 ;; esac' sh {} \;
		) | sed "s|^|${archive#"$base/upper/"}: |"
		rm -rf "$dir"
	done
}

# names: "path<TAB>type mode owner target".
names() {
	(
		cd "$root" || exit
		find $TREES \( -name '.dkms-hook*' -o -path 'usr/src/linux-headers-*' -o -path 'usr/src/linux-kbuild-*' \) -prune \
			-o -printf '%p\t%y %m %U:%G %l\n'
	) | sed 's|^lib/|usr/lib/|'
	(
		cd "$base/upper" || exit
		find . \( -path ./var/lib/dkms -o -path ./usr/src -o -path ./etc/dkms -o -path ./usr/lib/modules -o -path ./boot \
			-o -path ./var/log/lab -o -name '.dkms-hook*' \) -prune -o ! -type d -printf '%P\t%y %m %U:%G %l\n'
	)
}

snapshot() {
	awk -F'\t' 'FILENAME == ARGV[1] { digest[$2] = $1; next } { print $1 "\t" $2 digest[$1] }' <(contents) <(names)
	members
}
