# bash completion for dkms-hook(8)

_dkms_hook() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' dir
    case $prev in
    -k | --kernel)
        for dir in /lib/modules/*/kernel/; do
            dir=${dir%/kernel/}
            [ -d "$dir" ] && words+=" ${dir##*/}"
        done
        ;;
    --root)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --rebuild) words='abi inputs' ;;
    *) words='incoming resign status why --kernel --dry-run --json --rebuild --root --verbose --help --version' ;;
    esac
    if [ "${COMP_WORDS[1]}" = incoming ] && [ "$COMP_CWORD" -gt 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W '--json --root --verbose --help' -f -- "$cur")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _dkms_hook dkms-hook
