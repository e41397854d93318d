# shellcheck shell=bash
# The tables that explain differences. A row is named by the text of its first cell.

# table_rows: the first cells of every table.
table_rows() {
	sed -n 's/^| \([^|]*[^ |]\) |.*/\1/p' "$REPO_TOP/docs/compatibility.md" "$DIFF/since-3.2.2.md"
}

row_exists() { table_rows | grep -qFx -- "$1"; }
