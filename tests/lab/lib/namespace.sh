# shellcheck shell=bash
# Roots in namespaces of their own. A mount made here is seen by nobody else and vanishes with the
# last process of its namespace, so a row that fails or is killed leaves nothing mounted.

# in_namespace [--offline] COMMAND…: runs it as process 1 of new mount and pid namespaces. However
# the calling shell ends, everything in them ends with it (setpriv for unshare, unshare for the rest).
in_namespace() {
	local net=()
	if [ "$1" = --offline ]; then
		net=(--net)
		shift
	fi
	setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --ipc --uts "${net[@]}" -- "$@"
}

# stack LOWER[:LOWER…] UPPER WORK ROOT: one writable root over layers. Directories of lower layers
# can be renamed as on a real file system (redirect_dir).
stack() {
	mkdir -p "$2" "$3" "$4"
	mount -t overlay -o "lowerdir=$1,upperdir=$2,workdir=$3,redirect_dir=on,index=off" lab "$4"
}

# furnish ROOT: /proc, /sys, /run and a /dev with a few harmless nodes; a repository at /srv/lab.
furnish() {
	local root=$1 node
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || mount --rbind -o ro /sys "$root/sys"
	mount -t tmpfs -o mode=755 lab "$root/run"
	mkdir -p "$root/run/lock"
	mount -t tmpfs -o mode=755 lab "$root/dev"
	for node in null zero full random urandom tty; do
		: >"$root/dev/$node"
		mount --bind "/dev/$node" "$root/dev/$node"
	done
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,mode=620,ptmxmode=666 devpts "$root/dev/pts"
	mount -t tmpfs lab "$root/dev/shm"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	ln -s /proc/self/fd/0 "$root/dev/stdin"
	ln -s /proc/self/fd/1 "$root/dev/stdout"
	ln -s /proc/self/fd/2 "$root/dev/stderr"
}

# attach_repository ROOT SUITE: the cached packages, read-only, where the root's sources.list says.
attach_repository() {
	mkdir -p "$1/srv/lab"
	mount --bind "$(repo_dir "$2")" "$1/srv/lab"
	mount -o remount,bind,ro "$1/srv/lab"
}

# in_root ROOT COMMAND…: with the environment of a root shell after login, nothing of the caller's.
in_root() {
	local root=$1
	shift
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		chroot "$root" "$@"
}
