# shellcheck shell=bash
# Which real kernels the lab uses: chosen once, when the cache is filled, and remembered there.

# Releases of PACKAGES (names on stdin, one "name version" per line) in rising order.
_releases() { sed -n "s/^linux-headers-\([0-9][^ ]*\)$1 .*/\1$1/p" | sort -uV; }

# _cloud_headers ROOT: "package version origin" of every cloud headers package that apt knows and
# that has its image too (signed images reach the mirror some days after the headers).
_cloud_headers() {
	local headers
	headers=$(in_root "$1" apt-cache pkgnames linux-headers- | grep -E '^linux-headers-[0-9].*-cloud-amd64$')
	headers=$(in_root "$1" apt-cache pkgnames linux-image- | sed 's/^linux-image-/linux-headers-/' |
		grep -Fx -f - <(echo "$headers"))
	in_root "$1" apt-cache madison $headers | sed 's/ *| */ /g; s/^ *//'
}

# choose_kernels ROOT: prints assignments. ROOT's apt lists decide.
#   R1, R2  two cloud releases of trixie, R1 the older; G the generic flavour of R2's version;
#   RB      the newest 7.x cloud release of backports (split packages), RS sid's cloud release.
choose_trixie_kernels() {
	local root=$1 all cloud main newest older backport
	all=$(_cloud_headers "$root")
	main=$(grep -vE 'backports|security' <<<"$all" | _releases -cloud-amd64)
	newest=$(tail -n1 <<<"$main")
	cloud=$(grep -v backports <<<"$all" | _releases -cloud-amd64)
	# The next older one, from wherever it is still kept; else the next newer takes its place.
	older=$(grep -Fx -B1 -- "$newest" <<<"$cloud" | head -n1)
	if [ "$older" = "$newest" ]; then
		newest=$(grep -Fx -A1 -- "$older" <<<"$cloud" | tail -n1)
	fi
	[ "$older" != "$newest" ] || die "the mirror has only one trixie kernel with headers"
	backport=$(grep backports <<<"$all" | _releases -cloud-amd64 | grep '^7\.' | tail -n1)
	[ -n "$backport" ] || die "the mirror has no trixie-backports kernel with headers"
	printf 'R1=%s\nR2=%s\nG=%s\nRB=%s\n' "$older" "$newest" "${newest/-cloud-/-}" "$backport"
}

choose_sid_kernel() {
	local release
	release=$(_cloud_headers "$1" | _releases -cloud-amd64 | tail -n1)
	[ -n "$release" ] || die "the mirror has no sid kernel with headers"
	printf 'RS=%s\n' "$release"
}
