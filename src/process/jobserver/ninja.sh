#!/bin/sh
# Stands for ninja in a build. Since 1.13 it takes its jobs from the job server of the run, unless it is given a
# number of them; an older one would take as many as there are processors, whatever the run may have.
real='@REAL@'
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
    --* | -) ;;
    -*)
        letters=${word#-}
        word=-
        while [ -n "$letters" ]; do
            more=${letters#?}
            letter=${letters%"$more"}
            case $letters in
            j) number=next ;;
            j*) jobs=$more more= ;;
            t*) word=$word$letters more= operands=1 ;;
            [Cdfklw]) word=$word$letters value=next ;;
            [Cdfklw]*) word=$word$letters more= ;;
            *) word=$word$letter ;;
            esac
            letters=$more
        done
        [ "$word" != - ] || gone=1
        ;;
    esac
    [ -n "$gone" ] || set -- "$@" "$word"
    if [ -n "$number" ] && [ "$left" -gt 0 ]; then
        jobs=$1
        left=$((left - 1))
        shift
    fi
done
if [ "$jobs" = 1 ] || [ -n "$@ONE_JOB@" ]; then
    exec "$real" -j1 "$@"
fi
version=$("$real" --version)
major=${version%%.*}
minor=${version#*.}
minor=${minor%%.*}
case $major$minor in
'' | *[!0-9]*) ;;
*)
    if [ "$major" -gt 1 ] || [ "$minor" -ge 13 ]; then
        case $MAKEFLAGS in
        *--jobserver-auth=fifo:*) exec "$real" "$@" ;;
        esac
    fi
    ;;
esac
exec "$real" -j@LIMIT@ "$@"
