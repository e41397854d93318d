# Evaluates conf files for dkms-hook: $1 is a file to write in between, $2 the names of the
# exported variables, the rest the files. Answers on standard output with NUL-separated fields:
#   read FILE | exit FILE STATUS | requote FILE     what became of each file
#   value NAME INDEX TEXT                           each element, after each file
#   end                                             that this script got to its end
# It lives in the same shell as what it evaluates, hence the long names and the `builtin`s.
shopt -s extglob
# A confined program has one of its own, with another name each time.
unset HOME
__dkms_hook_between=$1
read -ra __dkms_hook_names <<<"$2"
shift 2
# Runs in the subshell that has read a file: one assignment in double quotes per element, its value
# split at blanks and joined by single ones, as DKMS hands values over. Patterns stay what they are.
__dkms_hook_write() {
    set +eux -f
    local __dkms_hook_name __dkms_hook_index __dkms_hook_value
    local -a __dkms_hook_words
    for __dkms_hook_name in "${__dkms_hook_names[@]}"; do
        local -n __dkms_hook_ref=$__dkms_hook_name
        for __dkms_hook_index in "${!__dkms_hook_ref[@]}"; do
            __dkms_hook_value=${__dkms_hook_ref[$__dkms_hook_index]%$'\r'}
            __dkms_hook_words=("$__dkms_hook_name[$__dkms_hook_index]=\""$__dkms_hook_value\")
            builtin printf '%s' "${__dkms_hook_words[0]}"
            ((${#__dkms_hook_words[@]} == 1)) || builtin printf ' %s' "${__dkms_hook_words[@]:1}"
            builtin printf '\n'
        done
        unset -n __dkms_hook_ref
    done
    builtin printf '__dkms_hook_whole=yes\n'
}
__dkms_hook_tell() {
    local __dkms_hook_name __dkms_hook_index
    for __dkms_hook_name in "${__dkms_hook_names[@]}"; do
        local -n __dkms_hook_ref=$__dkms_hook_name
        for __dkms_hook_index in "${!__dkms_hook_ref[@]}"; do
            printf 'value\0%s\0%s\0%s\0' "$__dkms_hook_name" "$__dkms_hook_index" "${__dkms_hook_ref[$__dkms_hook_index]}"
        done
        unset -n __dkms_hook_ref
    done
}
for __dkms_hook_file; do
    : >"$__dkms_hook_between"
    (
        # With a trap set, bash 5.2 forks for an external command at the end of `a; b`. Without, that
        # command replaces this subshell and nothing gets written.
        trap : EXIT
        set --
        . "$__dkms_hook_file" >/dev/null
        __dkms_hook_write >"$__dkms_hook_between"
    )
    __dkms_hook_status=$?
    __dkms_hook_whole=no
    set -f
    . "$__dkms_hook_between" >/dev/null
    set +f
    if [[ $__dkms_hook_whole == yes ]]; then
        printf 'read\0%s\0' "$__dkms_hook_file"
    elif [[ -s $__dkms_hook_between ]]; then
        printf 'requote\0%s\0' "$__dkms_hook_file"
    else
        printf 'exit\0%s\0%s\0' "$__dkms_hook_file" "$__dkms_hook_status"
    fi
    __dkms_hook_tell
done
printf 'end\0'
