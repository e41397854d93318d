#!/bin/bash
# Expected: the crate's PackageVersion orders versions as dpkg does, and a total order has one answer for a pair.
# Happens:  a tilde counts on the left side only. 1.0+dfsg is less than 1.0~rc1 and 1.0~rc1 less than 1.0+dfsg, so sorted
#           lists depend on the order that they came in, and a backport can pass for newer than what it was made from.
# Versions: crate debian-packaging 0.18.0, without its default features.
# Seen:     "1.0+dfsg < 1.0~rc1: true, back: true; 5.10+1 < 5.10~1: true, back: true"; dpkg: false, true.
# Builds the crate and all that it needs: minutes.
. "$(dirname "$0")/lib.sh"
needs cargo dpkg
mkdir -p "$work/crate/src"
cat >"$work/crate/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
debian-packaging = { version = "=0.18.0", default-features = false }
# It does not compile with libc 0.2.191, by way of xattr 0.2.3.
libc = "=0.2.189"
[profile.dev]
debug = false
[workspace]
TOML
cat >"$work/crate/src/main.rs" <<'RUST'
use debian_packaging::package_version::PackageVersion;

fn main() {
    let words: Vec<PackageVersion> = std::env::args().skip(1).map(|w| PackageVersion::parse(&w).unwrap()).collect();
    for pair in words.chunks(2) {
        println!("{} {}", pair[0] < pair[1], pair[1] < pair[0]);
    }
}
RUST
export CARGO_TARGET_DIR=${FINDINGS_CACHE:-$work}/target-debian-packaging
(cd "$work" && cargo build --quiet --manifest-path "$work/crate/Cargo.toml") >"$work/cargo.log" 2>&1 || {
	! grep -q 'failed to select a version\|no matching package\|failed to download' "$work/cargo.log" ||
		skip "NO LONGER TO BE HAD: debian-packaging =0.18.0: $(tail -n 1 "$work/cargo.log")"
	die "cargo: $(tail -n 5 "$work/cargo.log")"
}
crate() { "$CARGO_TARGET_DIR/debug/finding" "$1" "$2"; }
dpkg_says() {
	local a=false b=false
	! dpkg --compare-versions "$1" lt "$2" || a=true
	! dpkg --compare-versions "$2" lt "$1" || b=true
	echo $a $b
}
for pair in '1.0+dfsg 1.0~rc1' '5.10+1 5.10~1' '1-1+b1 1-1~bpo1'; do
	read -r a b <<<"$pair"
	expect "$a < $b and back, by dpkg" "false true" "$(dpkg_says "$a" "$b")"
	expect "$a < $b and back, by the crate" "true true" "$(crate "$a" "$b")"
done
expect "1.0 < 1.0~rc1 and back, by the crate" "false true" "$(crate 1.0 1.0~rc1)"
as_found "debian-packaging 0.18.0 says of two versions that each is less than the other when one has a tilde"
