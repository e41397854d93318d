# shellcheck shell=bash
# One row for one kernel with one of the two tools: a fresh root, add, build, install.

# tool_identity TOOL: what a kept result depends on, besides package and kernel.
tool_identity() {
	case $1 in
	dkms) basename "$CORPUS_CACHE"/dkms_*.deb ;;
	ours) dpkg-deb --fsys-tarfile "$DKMS_HOOK_DEB" | tar -xO ./usr/sbin/dkms-hook | sha256sum | cut -c1-16 ;;
	esac
	cat "$CORPUS_CACHE/root.stamp" "$CORPUS/inside" | sha256sum | cut -c1-16
}

# need_tool TOOL: the layer with that dkms on top of the corpus root, once per run.
need_tool() {
	local dir=$LAB_CACHE/mnt/layers/$1
	[ ! -d "$dir" ] || return 0
	in_namespace --offline "$CORPUS/run" --in-namespace install_tool "$1" >"$CORPUS_OUT/layer-$1.log" 2>&1 && return
	rm -rf "$dir"
	tail -n 15 "$CORPUS_OUT/layer-$1.log" >&2
	die "$1 could not be installed"
}

install_tool() {
	local dir=$LAB_CACHE/mnt/layers/$1 root=$LAB_CACHE/mnt/root deb
	stack "$CORPUS_CACHE/root" "$dir/upper" "$dir/work" "$root"
	furnish "$root"
	case $1 in
	dkms) deb=$(echo "$CORPUS_CACHE"/dkms_*.deb) ;;
	ours) deb=$DKMS_HOOK_DEB ;;
	esac
	cp "$deb" "$root/tool.deb"
	in_root "$root" dpkg -i /tool.deb
}

# run_unit ROW KERNEL TOOL: process 1 of a namespace. The program in the root takes its place, so
# that the root is the one of process 1, as on a machine: modules are signed.
run_unit() {
	local row=$1 kernel=$2 tool=$3 limit=$4 dir root sources=() first
	dir=$LAB_CACHE/mnt/unit-$row-$kernel-$tool
	root=$dir/root
	mount -t tmpfs -o size=60%,mode=755 lab "$LAB_CACHE/mnt/unit-$row-$kernel-$tool"
	stack "$LAB_CACHE/mnt/layers/$tool/upper:$CORPUS_CACHE/root" "$dir/upper" "$dir/work" "$root"
	furnish "$root"
	for first in $(needs_of "$row") "$row"; do
		dpkg-deb -x "$(deb_of "$first")" "$root"
		case $first in linux-*) continue ;; esac
		sources+=("/usr/src/$(dpkg-deb -c "$(deb_of "$first")" | sed -n 's,.* \./usr/src/\([^/]*\)/dkms\.conf$,\1,p')")
	done
	[ -e "$root/lib/modules/$kernel/modules.dep" ] || chroot "$root" /sbin/depmod "$kernel"
	case $row in *=git) check_out "$root" "${sources[-1]}" && sources[-1]=/home/author/driver ;; esac
	mkdir -p "$root/results"
	mount --bind "$(result_dir "$row" "$kernel" "$tool").new" "$root/results"
	install -m 755 "$CORPUS/inside" "$root/inside"
	exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		chroot "$root" /inside "$limit" "$kernel" "${sources[@]}"
}

# check_out ROOT SOURCE: moves it to a git checkout that belongs to somebody, with the modes that a
# umask of 002 gives.
check_out() {
	mkdir -p "$1/home/author"
	mv "$1$2" "$1/home/author/driver"
	chmod -R u+rwX,g+rwX,o=rX "$1/home/author"
	chown -R 1000:1000 "$1/home/author"
	chroot --userspec=1000:1000 "$1" /usr/bin/env -i HOME=/home/author PATH=/usr/bin:/bin LC_ALL=C.UTF-8 sh -ec '
		cd /home/author/driver
		git init -q
		git add -A
		git -c user.name=author -c user.email=author@localhost commit -qm "As it was published"'
}

# unit ROW KERNEL TOOL: runs it, unless its result is there already.
unit() {
	local row=$1 kernel=$2 tool=$3 dir limit=1800 began=$SECONDS
	dir=$(result_dir "$row" "$kernel" "$tool")
	if [ -e "$dir/end" ] && { [ "$(cat "$dir/tool")" = "$(tool_identity "$tool")" ] || [ -n "${resume:-}" ]; }; then
		return
	fi
	rm -rf "$dir.new"
	mkdir -p "$dir.new" "$LAB_CACHE/mnt/unit-$row-$kernel-$tool"
	tool_identity "$tool" >"$dir.new/tool"
	! attribute "$row" slow || limit=14400
	in_namespace --offline "$CORPUS/run" --in-namespace run_unit "$row" "$kernel" "$tool" "$limit" \
		>"$dir.new/outer.log" 2>&1
	rm -rf --one-file-system "$dir"
	mv "$dir.new" "$dir"
	say "    $row $kernel $tool: $((SECONDS - began)) s"
}

# run_units JOBS ROW…: process 1 of a namespace with scratch space in memory.
run_units() {
	local jobs=$1 row kernel tool
	shift
	mount -t proc proc /proc
	mount -t tmpfs -o size=85%,mode=755 lab "$LAB_CACHE/mnt"
	need_tool dkms
	need_tool ours
	for row; do
		for kernel in $(kernels_of "$row"); do
			for tool in dkms ours; do
				while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do wait -n; done
				unit "$row" "$kernel" "$tool" &
			done
		done
	done
	wait
}

# prepare: everything that the rows of the dozen need.
prepare() {
	local rows=() all='' list=''
	choose_rows
	make_ready
	need_tool dkms
	need_tool ours
}

# dozen_row ROW: one of them with both tools, for each of its kernels.
dozen_row() {
	local kernel passed=0 failed=0
	export dozen=yes
	exec 7>"$CORPUS_CACHE/lock"
	flock --shared 7
	for kernel in $(kernels_of "$1"); do
		unit "$1" "$kernel" dkms
		unit "$1" "$kernel" ours
		if compare "$1" "$kernel"; then passed=$((passed + 1)); else
			failed=$((failed + 1))
			echo "FAILED: $1 $kernel: $differences"
		fi
		table_line "$1" "$kernel"
	done
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" = 0 ]
}
