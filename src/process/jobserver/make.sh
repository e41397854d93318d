#!/bin/sh
# Stands for make in a build. Make takes its jobs from the job server of the run; for a number of jobs on its
# command line it would leave that, so the number is left out here. Who asks for one job gets one.
real='@REAL@'
pipe='@PIPE@'
jobs= value= operands=
left=$#
while [ "$left" -gt 0 ]; do
    left=$((left - 1))
    word=$1
    shift
    if [ -n "$value$operands" ]; then
        value=
        set -- "$@" "$word"
        continue
    fi
    number= gone=
    case $word in
    --) operands=1 ;;
    --jobs) number=next gone=1 ;;
    --jobs=*) jobs=${word#--jobs=} gone=1 ;;
    --*=*) ;;
    --assume-* | --di* | --ev* | --fil* | --inc* | --mak* | --ne* | --old* | --wha*) value=next ;;
    --* | -) ;;
    -*)
        letters=${word#-}
        word=-
        while [ -n "$letters" ]; do
            more=${letters#?}
            letter=${letters%"$more"}
            case $letters in
            j) number=next ;;
            j*[!0-9]*) word=$word$letters more= ;;
            j*) jobs=$more more= ;;
            [CEfIoW]) word=$word$letters value=next ;;
            [CEfIlOoW]*) word=$word$letters more= ;;
            *) word=$word$letter ;;
            esac
            letters=$more
        done
        [ "$word" != - ] || gone=1
        ;;
    esac
    [ -n "$gone" ] || set -- "$@" "$word"
    if [ -n "$number" ] && [ "$left" -gt 0 ]; then
        case $1 in
        '' | *[!0-9]*) ;;
        *)
            jobs=$1
            left=$((left - 1))
            shift
            ;;
        esac
    fi
done

# MAKEFLAGS with this in place of what it says of jobs.
flags_with() {
    options=${MAKEFLAGS%%" -- "*}
    variables=${MAKEFLAGS#"$options"}
    kept=
    set -f
    for option in $options; do
        case $option in
        -j* | --jobs* | --jobserver-*) ;;
        *) kept="$kept $option" ;;
        esac
    done
    set +f
    MAKEFLAGS="${kept# } $1$variables"
    export MAKEFLAGS
}

# Makes below find this program, too, not the one that it starts.
: "${MAKE:=${0##*/}}"
export MAKE
if [ "$jobs" = 1 ]; then
    @ONE_JOB@=1
    export @ONE_JOB@
    flags_with -j1
fi
if [ -z "$@ONE_JOB@" ] && [ -p "$pipe" ]; then
    case $MAKEFLAGS in
    *--jobserver-auth=*,*)
        # To a recipe that does not say $(MAKE), descriptors are named and not given.
        open=${MAKEFLAGS##*--jobserver-auth=}
        open=${open%% *}
        [ -p "/proc/$$/fd/${open%,*}" ] && [ -p "/proc/$$/fd/${open#*,}" ] || open=
        ;;
    *--jobserver-auth=*) open=1 ;;
    *) open= ;;
    esac
    if [ -z "$open" ]; then
        @OPEN@
        flags_with '@FLAGS@'
    fi
fi
exec "$real" "$@"
