#!/bin/bash
# Expected: a file that dpkg leaves out (path-exclude, as in small images and containers) fires no file trigger, as it
#           never comes to be.
# Happens:  the package's list of files decides: the trigger is fired at install and at removal, and the directory that
#           the watching package then looks at is not there.
# Versions: dpkg 1.22.22 (trixie).
# Seen:     "watch: triggered /usr/lib/watched", /usr/lib/watched does not exist; the same again when it is removed.
. "$(dirname "$0")/lib.sh"
needs dpkg-deb
root=$work/root
root_of "$root" trixie dpkg=1.22.22 dash busybox-static
ln -sf ../bin/true "$root/usr/sbin/ldconfig"
mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers,parts} "$root"/etc/dpkg/dpkg.cfg.d "$root/var/log"
: >"$root/var/lib/dpkg/status"
control() {
	mkdir -p "$work/$1/DEBIAN"
	printf '%s\n' "Package: $1" 'Version: 1' 'Architecture: all' 'Maintainer: A <a@example.org>' 'Description: test' \
		>"$work/$1/DEBIAN/control"
}
control watch
echo 'interest-noawait /usr/lib/watched' >"$work/watch/DEBIAN/triggers"
cat >"$work/watch/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
[ "$1" != triggered ] || echo "watch: $1 $2"
POSTINST
chmod 755 "$work/watch/DEBIAN/postinst"
control ship
mkdir -p "$work/ship/usr/lib/watched"
echo content >"$work/ship/usr/lib/watched/file"
for p in watch ship; do dpkg-deb --root-owner-group -b "$work/$p" "$root/tmp/$p.deb" >"$work/out"; done
run_dpkg() {
	expect "status of dpkg $*" 0 "$(status_of in_root "$root" dpkg --force-depends --force-unsafe-io "$@")"
	fired=$(grep '^watch: ' "$work/out" || true)
}
run_dpkg -i /tmp/watch.deb
echo 'path-exclude=/usr/lib/watched*' >"$root/etc/dpkg/dpkg.cfg.d/small"
run_dpkg -i /tmp/ship.deb
expect "what is fired at install" "watch: triggered /usr/lib/watched" "$fired"
expect "whether the directory is there" no "$([ -e "$root/usr/lib/watched" ] && echo yes || echo no)"
run_dpkg -r ship
expect "what is fired at removal" "watch: triggered /usr/lib/watched" "$fired"
as_found "a file trigger is fired by a file that path-exclude has left out"
