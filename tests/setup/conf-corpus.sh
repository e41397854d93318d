#!/bin/sh
# Fetches the dkms.conf of every *-dkms package of Debian trixie (main, contrib, non-free), for
# tests/conf_corpus.rs. Only those files are kept, as DIR/PACKAGE/dkms.conf; DIR/SUITE records which
# state of the archive they are from. Nothing on this system is changed: apt runs on a state of its own
# and each package is deleted again as soon as its dkms.conf is taken out.
#
# What is there stays, as in the labs; --refresh asks the mirror for newer ones.
#
# usage: conf-corpus.sh [--refresh] [DIR]
#   DIR              default: $DKMS_HOOK_LAB_CACHE/conf-corpus, else the user's cache directory
#   DKMS_LAB_MIRROR  a Debian mirror; default: the one that this machine's apt uses
#   DKMS_LAB_SUITE   default: trixie
set -eu
export LC_ALL=C

refresh=
[ "${1:-}" != --refresh ] || { refresh=yes && shift; }
cache=${DKMS_HOOK_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dkms-hook/lab}
dir=${1:-$cache/conf-corpus}
suite=${DKMS_LAB_SUITE:-trixie}
[ -n "$refresh" ] || [ ! -s "$dir/SUITE" ] || {
    echo "conf-corpus: $(ls "$dir" | grep -c -- -dkms) dkms.conf files in $dir"
    exit 0
}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

for tool in apt-get apt-cache dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "conf-corpus: needs $tool (Debian package apt or dpkg)" >&2; exit 1; }
done
[ -r "$keyring" ] || { echo "conf-corpus: needs the Debian package debian-archive-keyring" >&2; exit 1; }

mirror=${DKMS_LAB_MIRROR:-}
if [ -z "$mirror" ]; then
    # The first http(s) source of this machine that carries Debian itself (not security updates).
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "Debian" && $1 !~ /security/ { print $1; exit }')
fi
if [ -z "$mirror" ]; then
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
        grep -v '^ *#' | grep -o 'https\?://[^ ]*' | grep debian | grep -v security | head -n 1)
fi
[ -n "$mirror" ] || { echo "conf-corpus: no Debian mirror found; set DKMS_LAB_MIRROR" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/etc" "$work/empty" "$work/debs" "$dir"
: >"$work/status"
printf 'deb [signed-by=%s] %s %s main contrib non-free\n' "$keyring" "$mirror" "$suite" >"$work/sources.list"
# Proxy and authentication settings of the machine stay; its sources and its state do not take part.
cat >"$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "$work/empty";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$work/empty";
Dir::State "$work";
Dir::State::Lists "$work/lists";
Dir::State::Status "$work/status";
Dir::Cache "$work";
Dir::Cache::Archives "$work/archives";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
export APT_CONFIG="$work/apt.conf"

echo "conf-corpus: reading the package lists of $suite from $mirror"
apt-get -qq update
# dh-dkms is the packaging helper, not a module.
packages=$(apt-cache pkgnames | grep -e '-dkms$' | grep -vx dh-dkms | sort)
[ -n "$packages" ] || { echo "conf-corpus: $mirror has no *-dkms package in $suite" >&2; exit 1; }

cd "$work/debs"
kept=0
for package in $packages; do
    version=$(apt-cache show --no-all-versions "$package" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
    # A name that is only provided or depended upon has no version.
    [ -n "$version" ] || continue
    if [ -f "$dir/$package/dkms.conf" ] && [ "$(cat "$dir/$package/version" 2>/dev/null)" = "$version" ]; then
        kept=$((kept + 1))
        continue
    fi
    apt-get -qq download "$package"
    deb=$(ls ./*.deb)
    rm -rf "$dir/$package" out
    mkdir -p "$dir/$package" out
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C out --wildcards --no-anchored 'dkms.conf' 2>/dev/null || :
    for conf in out/usr/src/*/dkms.conf; do
        if [ -f "$conf" ]; then
            cp "$conf" "$dir/$package/dkms.conf"
            basename "${conf%/dkms.conf}" >"$dir/$package/source"
        fi
    done
    if [ -f "$dir/$package/dkms.conf" ]; then
        echo "$version" >"$dir/$package/version"
        kept=$((kept + 1))
    else
        echo "conf-corpus: $package has no usr/src/*/dkms.conf" >&2
        rm -rf "$dir/$package"
    fi
    rm -rf out ./*.deb
done
cat "$work"/lists/*_InRelease 2>/dev/null | sed -n -e 's/^Suite: /suite /p' -e 's/^Date: /date /p' | head -n 2 >"$dir/SUITE"
echo "conf-corpus: $kept dkms.conf files in $dir"
