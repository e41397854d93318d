# shellcheck shell=bash
# The tables that explain differences. A row is named by the text of its first cell.

# table_rows: the first cells of every table.
table_rows() {
	sed -n 's/^| \([^|]*[^ |]\) |.*/\1/p' "$REPO_TOP/docs/compatibility.md" "$DIFF/since-3.2.2.md"
}

# Not by a pipe: grep ends at the first match, and a sed that still writes would fail with pipefail.
row_exists() { grep -qFx -- "$1" < <(table_rows); }
