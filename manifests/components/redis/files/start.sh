#!/bin/sh
# Starts Redis: as the master, or as a copy of it. Passwords go into a file, not onto a command line.
set -eu
umask 077
host=$POD.redis-nodes
master=$(sh /config/master.sh)
{
    echo "include /config/redis.conf"
    echo "replica-announce-ip $host"
    echo "requirepass $PASSWORD"
    echo "masterauth $PASSWORD"
    # A master that is cut off from its copies must not give positions which the promoted one gives too.
    if [ "$REPLICAS" != 1 ]; then
        echo "min-replicas-to-write 1"
        echo "min-replicas-max-lag 10"
    fi
    if [ "$master" != "$host" ]; then
        echo "replicaof $master 6379"
    fi
} >/tmp/redis.conf
echo "the master is $master"
exec redis-server /tmp/redis.conf
