# shellcheck shell=bash
# Which Debian mirror to use: DKMS_LAB_MIRROR (one or more URIs), else whatever the host's apt uses.

mirror_candidates() {
	if [ -n "${DKMS_LAB_MIRROR:-}" ]; then
		tr ' ' '\n' <<<"$DKMS_LAB_MIRROR"
	else
		# shellcheck disable=SC2016 # apt's own placeholders
		apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u
	fi
}

# mirror_for SUITE: the first candidate that has the suite; fails when none has it.
mirror_for() {
	local uri probe
	probe=$(mktemp -d)
	while read -r uri; do
		case $uri in http*://* | file:* | mirror*:*) ;; *) continue ;; esac
		if /usr/lib/apt/apt-helper download-file "${uri%/}/dists/$1/InRelease" "$probe/InRelease" \
			>/dev/null 2>&1 && grep -q '^Origin: Debian' "$probe/InRelease"; then
			rm -rf "$probe"
			printf '%s\n' "${uri%/}"
			return 0
		fi
	done < <(mirror_candidates)
	rm -rf "$probe"
	return 1
}

# sources_for SUITE: the apt sources of a root of that suite (with security updates and backports
# where the suite and the mirror have them).
sources_for() {
	local suite uri
	for suite in "$1" "$1-security" "$1-backports"; do
		if uri=$(mirror_for "$suite"); then
			printf 'deb %s %s main\n' "$uri" "$suite"
		elif [ "$suite" = "$1" ]; then
			die "no mirror with $1: set DKMS_LAB_MIRROR to the URI of a Debian mirror"
		fi
	done
}
