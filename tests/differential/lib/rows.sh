# shellcheck shell=bash
# The tables that explain differences. A row is named by the text of its first cell.

# table_rows: the first cells of every table.
table_rows() {
	sed -n 's/^| *\(.*[^ ]\) *|.*|.*|.*|$/\1/p' "$REPO_TOP/docs/compatibility.md" | cut -d'|' -f1 |
		sed 's/ *$//; /^-*$/d; /^$/d'
	sed -n 's/^| *\([^|]*[^ |]\) *|.*|$/\1/p' "$DIFF/since-3.2.2.md" "$REPO_TOP/docs/compatibility.md" |
		sed '/^-*$/d'
}

row_exists() { table_rows | grep -qFx -- "$1"; }
