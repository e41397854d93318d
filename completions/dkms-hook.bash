# bash completion for dkms-hook(8)

# Kernels whose modules are on disk.
_dkms_hook_kernels() {
    local dir
    for dir in /lib/modules/*/kernel/; do
        dir=${dir%/kernel/}
        [ -d "$dir" ] && printf '%s\n' "${dir##*/}"
    done
}

# name/version of every registered module source.
_dkms_hook_modules() {
    local link
    for link in /var/lib/dkms/*/*/source; do
        [ -e "$link" ] || continue
        link=${link%/source}
        printf '%s\n' "${link#/var/lib/dkms/}"
    done
}

_dkms_hook() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' command='' word
    # bash splits --option=value into three words; the last one may still be empty.
    if [ "$cur" = = ]; then
        cur=''
    elif [ "$prev" = = ] && [ "$COMP_CWORD" -gt 1 ]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in boot-check | essential | fits | go-on | incoming | kernels | resign | secure-boot | settings | status | why) command=$word ;; esac
    done
    case $prev in
    -k | --kernel | --leaving) words=$(_dkms_hook_kernels) ;;
    --rebuild) words='abi inputs' ;;
    --module) words=$(_dkms_hook_modules) ;;
    --root | --headers)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    *)
        words='--rebuild --root --verbose --help'
        case $command:$cur in
        :-*) words+=' --kernel --dry-run --json --purge-missing --version' ;;
        boot-check:-*) words+=' --report' ;;
        boot-check:*) words=$(_dkms_hook_kernels) ;;
        :*) words+=' boot-check essential fits go-on incoming kernels resign secure-boot settings status why --kernel --dry-run --json --purge-missing --version' ;;
        kernels:* | settings:* | status:*) words+=' --json' ;;
        essential:-*) words+=' --json --not' ;;
        resign:-*) words+=' --kernel --dry-run --unsigned' ;;
        why:-*) words+=' --kernel' ;;
        essential:*) words=$(_dkms_hook_modules | sed 's,/.*,,' | sort -u) ;;
        resign:* | why:*) words=$(_dkms_hook_modules) ;;
        incoming:-*) words+=' --json --leaving' ;;
        fits:-*) words+=' --headers --module --json' ;;
        secure-boot:-*) words+=' --json --kernel' ;;
        fits:* | incoming:* | secure-boot:*)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur"; [ "$command" != secure-boot ] || compgen -W enrol -- "$cur")
            return
            ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _dkms_hook dkms-hook
