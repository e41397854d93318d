# bash completion for dkms(8)

# Kernel releases: every directory of modules.
_dkms_kernels() {
    local dir
    for dir in /lib/modules/*/; do
        dir=${dir%/}
        [ -d "$dir" ] && printf '%s\n' "${dir##*/}"
    done
}

# name/version of every registered module source.
_dkms_modules() {
    local link
    for link in /var/lib/dkms/*/*/source; do
        [ -e "$link" ] || continue
        link=${link%/source}
        printf '%s\n' "${link#/var/lib/dkms/}"
    done
}

# name/version of every source tree that could be registered.
_dkms_sources() {
    local conf dir
    for conf in /usr/src/*/dkms.conf; do
        [ -e "$conf" ] || continue
        dir=${conf%/dkms.conf}
        dir=${dir##*/}
        # The version follows the last hyphen before a digit.
        [[ $dir =~ ^(.+)-([0-9].*)$ ]] && printf '%s/%s\n' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    done
}

# Completes a path: -f for files, -d for directories.
_dkms_paths() {
    # Fails outside of a completion, as in a test.
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_dkms() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    # bash splits --option=value into three words; the last one may still be empty.
    if [ "$cur" = = ]; then
        cur=''
    elif [ "$prev" = = ] && [ "$COMP_CWORD" -gt 1 ]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    local actions='add remove build unbuild install uninstall match autoinstall mktarball ldtarball status
        generate_mok kernel_preinst kernel_postinst kernel_prerm'
    local options='-m -v -k -a -c -q -j -h -V --module --kernelver --arch --config --all --force
        --force-version-override --directive --kernelsourcedir --dkmstree --sourcetree --installtree
        --templatekernel --archive --source-only --binaries-only --no-depmod --modprobe-on-install
        --symlink-modules --rpm_safe_upgrade --verbose --debug --quiet --help --version'
    local action='' word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case " ${actions//$'\n'/ } " in *" $word "*) action=$word ;; esac
    done
    local words=''
    case $prev in
    -k | --kernelver | --templatekernel) words=$(_dkms_kernels) ;;
    -m | --module) words=$(_dkms_modules) ;;
    -a | --arch) words=$(uname -m) ;;
    -v | -j | --directive) ;;
    -c | --config | --archive)
        _dkms_paths -f
        return
        ;;
    --kernelsourcedir | --dkmstree | --sourcetree | --installtree)
        _dkms_paths -d
        return
        ;;
    *)
        case $action:$cur in
        *:-*) words=$options ;;
        ldtarball:* | add:[./~]* | build:[./~]* | install:[./~]*)
            _dkms_paths -f
            return
            ;;
        :*) words=$actions ;;
        add:*) words=$(_dkms_sources) ;;
        autoinstall:* | generate_mok:* | kernel_*) ;;
        build:* | install:*) words="$(_dkms_modules) $(_dkms_sources)" ;;
        *) words=$(_dkms_modules) ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _dkms dkms
