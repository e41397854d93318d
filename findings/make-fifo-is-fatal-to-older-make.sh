#!/bin/bash
# Expected: a make that does not understand its parent's job server builds with one job and a warning, as it does when
#           the server is closed to it.
# Happens:  the fifo that make 4.4 and later hand down by default is fatal to 4.3: "internal error", exit 2. So an older
#           make in a container, or a vendor's own, cannot be called from a recipe of a newer one.
# Versions: make 4.3-4.1 (bookworm), 4.4.1-2 (trixie).
# Seen:     "make: *** internal error: invalid --jobserver-auth string 'fifo:…'.  Stop.", 2; a closed pipe: warning, 0.
. "$(dirname "$0")/lib.sh"
root_of "$work/old" bookworm make=4.3-4.1 dash busybox-static
root_of "$work/new" trixie make=4.4.1-2 dash busybox-static
# shellcheck disable=SC2016 # make's words
printf 'all:\n\t+@echo "$$MAKEFLAGS"\n' >"$work/new/tmp/Makefile"
printf 'all:\n\t@echo built\n' >"$work/old/tmp/Makefile"
flags=$(in_root "$work/new" make -j2 -f /tmp/Makefile)
# shellcheck disable=SC2001 # a pattern with an end
expect "what make 4.4.1 hands down" " -j2 --jobserver-auth=fifo:/tmp/GMfifoN" "$(sed 's/fifo[0-9]*$/fifoN/' <<<"$flags")"
expect "status of make 4.3 with it" 2 "$(status_of in_root "$work/old" env "MAKEFLAGS=$flags" make -f /tmp/Makefile)"
expect "what it says" "make: *** internal error: invalid --jobserver-auth string 'fifo:/tmp/GMfifoN'. Stop." \
	"$(sed "s/fifo[0-9]*'/fifoN'/" "$work/out" | tr -s ' ')"
closed=" -j2 --jobserver-auth=98,99"
expect "status with a closed pipe" 0 "$(status_of in_root "$work/old" env "MAKEFLAGS=$closed" make -f /tmp/Makefile)"
expect "what is built with a closed pipe" built "$(tail -n 1 "$work/out")"
as_found "make 4.3 below make 4.4.1 -jN ends with 2 and builds nothing"
