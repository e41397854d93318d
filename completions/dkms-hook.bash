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
    *) words='resign status why --kernel --dry-run --json --rebuild --root --verbose --help --version' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _dkms_hook dkms-hook
