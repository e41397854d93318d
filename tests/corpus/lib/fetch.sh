# shellcheck shell=bash
# Fetches module packages and makes the root that they are built in. Needs the network; what is
# cached stays in use without it.

# apt_root ROOT: apt in there sees trixie, and sid behind it, with all components; lists kept in the
# cache.
apt_root() {
	local root=$1
	rm -f "$root"/etc/apt/sources.list.d/*
	{ cat "$(base_dir $CORPUS_SUITE).sources"; printf 'deb %s sid main\n' "$(mirror_for sid)"; } |
		sed 's/ main$/ main contrib non-free non-free-firmware/' >"$root/etc/apt/sources.list"
	printf 'Package: *\nPin: release n=sid\nPin-Priority: 90\n' >"$root/etc/apt/preferences.d/sid"
	printf 'APT::Sandbox::User "root";\nAcquire::Languages "none";\nDpkg::Use-Pty "0";\n' \
		>"$root/etc/apt/apt.conf.d/90corpus"
	: >"$root/etc/resolv.conf"
	mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
	mkdir -p "$CORPUS_CACHE/lists/partial" "$CORPUS_CACHE/debs/partial"
	mount --bind "$CORPUS_CACHE/lists" "$root/var/lib/apt/lists"
	in_root "$root" apt-get -q update
}

# fetch_rows [ROW…]: process 1 of a namespace. Without rows: all of trixie and those of the table.
fetch_rows() {
	local root=$LAB_CACHE/mnt/root row name suite deb
	mount -t tmpfs -o size=20% lab "$LAB_CACHE/mnt"
	stack "$(base_dir $CORPUS_SUITE)" "$LAB_CACHE/mnt/upper" "$LAB_CACHE/mnt/work" "$root"
	furnish "$root"
	apt_root "$root" || die 'apt-get update failed'
	mkdir "$root/debs"
	mount --bind "$CORPUS_CACHE/debs" "$root/debs"
	if [ $# = 0 ]; then
		# dh-dkms helps packaging and is no module.
		set -- $(in_root "$root" apt-cache madison $(in_root "$root" apt-cache pkgnames | grep -e '-dkms$') |
			sed -n "s/^ *\([^ ]*\) .* $CORPUS_SUITE\/.* Packages$/\1/p" | grep -vx dh-dkms | sort -u) \
			$(grep -o '^[^# ]*[@=][^ ]*' "$CORPUS/packages")
		printf '%s\n' "$@" >"$CORPUS_CACHE/all"
	fi
	touch "$CORPUS_CACHE/fetched"
	for row; do
		row=${row%=git}
		name=${row%@*} suite=$CORPUS_SUITE
		[ "$row" = "$name" ] || suite=${row#*@}
		# A kernel may be in the security archive only.
		case $name in linux-*) suite= ;; esac
		# Asked for the name where the file is not: it is silent about what it has.
		deb=$(in_root "$root" sh -c 'cd /run && apt-get -qq --print-uris download "$1" &&
			cd /debs && apt-get -q download "$1" >&2' sh "$name${suite:+/$suite}" | cut -d' ' -f2)
		[ -n "$deb" ] || die "could not fetch $row"
		sed -i "\|^$row |d" "$CORPUS_CACHE/fetched"
		printf '%s %s\n' "$row" "$deb" >>"$CORPUS_CACHE/fetched"
	done
}

# make_corpus_root: process 1 of a namespace. A copy of the base root, so that no other run of the
# lab is in the way of a long one, with build dependencies, both kernels with all their modules, their
# headers, and one signing key.
make_corpus_root() {
	local root=$CORPUS_CACHE/root.new k part parts=() shared=()
	rm -rf --one-file-system "$root"
	cp -a --reflink=auto "$(base_dir $CORPUS_SUITE)" "$root"
	furnish "$root"
	apt_root "$root" || return
	in_root "$root" apt-get -q -y --no-install-recommends install $(build_dependencies) || return
	mkdir "$root/debs"
	mount --bind "$(deb_dir $CORPUS_SUITE)" "$root/debs"
	for k in $(corpus_kernels); do
		parts+=("$(find_deb $CORPUS_SUITE "linux-image-$k")" "$(find_deb $CORPUS_SUITE "linux-headers-$k")")
		shared+=($(shared_headers $CORPUS_SUITE "$k" | grep -v ^gcc))
	done
	# What the flavours share comes from the cache too, with whatever it depends on.
	shared=($(for part in $(printf '%s\n' "${shared[@]}" | sort -u); do basename "$(find_deb $CORPUS_SUITE "$part")"; done))
	in_root "$root" apt-get -q -y --no-install-recommends install "${shared[@]/#//debs/}" || return
	# Their files only: nothing here makes an initramfs, or runs hooks.
	for part in "${parts[@]}"; do dpkg-deb -x "$part" "$root" || return; done
	for k in $(corpus_kernels); do in_root "$root" depmod "$k" || return; done
	mkdir -p "$root/var/lib/dkms" "$CORPUS_CACHE/key"
	# Kept: with another key, kept results would not be comparable.
	[ -e "$CORPUS_CACHE/key/mok.pub" ] ||
		openssl req -new -x509 -nodes -days 36500 -newkey rsa:2048 -subj '/CN=module corpus/' \
			-keyout "$CORPUS_CACHE/key/mok.key" -outform DER -out "$CORPUS_CACHE/key/mok.pub" 2>/dev/null || return
	install -m 600 "$CORPUS_CACHE"/key/mok.* "$root/var/lib/dkms/"
	umount "$root/debs" && rmdir "$root/debs"
	rm -rf "$root"/var/cache/apt/archives/*.deb
	cp "$(find_deb $CORPUS_SUITE dkms)" "$CORPUS_CACHE/"
}
