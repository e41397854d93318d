# shellcheck shell=bash
# The scenario table, as markdown.

table_head() {
	echo '| scenario | builds expected | builds | module files changed | initramfs right | images made | left over | dry run clean | seconds | result |'
	echo '|---|---|---|---|---|---|---|---|---|---|'
}

# table_row NAME RESULT SECONDS: from the row's result file, if it got that far.
table_row() {
	local wanted=- ran=- images=- dry=- left=- made=- changed='' new gone
	load_row "$1"
	if [ -e "$LAB_OUT/rows/$1.result" ]; then
		. "$LAB_OUT/rows/$1.result"
	fi
	new=$(tr ' ' '\n' <<<"$changed" | grep -c '^[^-]')
	gone=$(tr ' ' '\n' <<<"$changed" | grep -c '^-')
	printf '| %s: %s | %s | %s | %s new, %s removed | %s | %s | %s | %s | %s | %s |\n' \
		"$1" "$TITLE" "$wanted" "$ran" "$new" "$gone" "$images" "$made" "$left" "$dry" "$3" "$2"
}
