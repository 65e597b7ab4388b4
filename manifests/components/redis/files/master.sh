#!/bin/sh
# Prints the host of Redis's master: whom another Sentinel names; else whom this pod's Sentinel named
# last; else, in a system that never ran, the first pod.
set -eu
at=0
while [ "$at" -lt "$REPLICAS" ]; do
    if [ "redis-$at" != "$POD" ]; then
        named=$(timeout 3 redis-cli -h "redis-$at.redis-nodes" -p 26379 --raw \
            sentinel get-master-addr-by-name chat 2>/dev/null | head -n 1) || named=
        case $named in
            redis-*) echo "$named" && exit ;;
        esac
    fi
    at=$((at + 1))
done
if [ -e /data/sentinel.conf ]; then
    named=$(sed -n 's/^sentinel monitor chat \([^ ]*\) .*/\1/p' /data/sentinel.conf)
fi
echo "${named:-redis-0.redis-nodes}"
