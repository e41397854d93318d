#!/bin/bash
# Expected: a make that is told to end (SIGTERM) gives back the tokens that it took from its job server, as make 4.3 does.
# Happens:  make 4.4.1 ends with them. A build that is cancelled starves all others that share the server.
# Versions: make 4.3-4.1 (bookworm), 4.4.1-2 (trixie); both with a pipe, 4.4.1 also with a fifo.
# Seen:     of 4 tokens 4 are back after 4.3, 1 after 4.4.1.
. "$(dirname "$0")/lib.sh"
root_of "$work/old" bookworm make=4.3-4.1 dash busybox-static
root_of "$work/new" trixie make=4.4.1-2 dash busybox-static

# tokens_after ROOT AUTH: four long recipes share four tokens, the make is ended once they run.
tokens_after() {
	local root=$1 auth=$2 running
	rm -f "$root"/tmp/*
	mkfifo "$root/tmp/tokens"
	printf 'all: a b c d\na b c d:\n\t@touch /tmp/run-$@; exec sleep 30\n' >"$root/tmp/Makefile"
	exec 9<>"$root/tmp/tokens"
	printf ++++ >&9
	# The descriptors are numbered for the pipe style; a fifo is opened by its name.
	# shellcheck disable=SC2016 # the inner shell's words
	in_root "$root" sh -c 'echo $$ >/tmp/pid; MAKEFLAGS=" -j5 --jobserver-auth=$0" exec make -s -f /tmp/Makefile' "$auth" \
		>"$work/out" 2>&1 &
	for _ in $(seq 200); do
		running=$(find "$root/tmp" -name 'run-*' | wc -l)
		[ "$running" != 4 ] || break
		sleep 0.1
	done
	kill -TERM "$(cat "$root/tmp/pid")"
	wait $! || true
	# Tokens are bytes; one more, as an empty fifo would have the reader wait.
	printf . >&9
	dd bs=16 count=1 <&9 >"$work/back" 2>/dev/null
	exec 9>&-
	echo "$running recipes, $(tr -d . <"$work/back" | wc -c) tokens"
}
expect "make 4.3, pipe" "4 recipes, 4 tokens" "$(tokens_after "$work/old" 9,9)"
expect "make 4.4.1, pipe" "4 recipes, 1 tokens" "$(tokens_after "$work/new" 9,9)"
expect "make 4.4.1, fifo" "4 recipes, 1 tokens" "$(tokens_after "$work/new" fifo:/tmp/tokens)"
as_found "make 4.4.1 that is told to end keeps 3 of 4 tokens of the job server, 4.3 none"
