#!/bin/sh
# Starts the Sentinel beside a Redis. What it learns it writes into its file, which stays with the pod.
set -eu
umask 077
conf=/data/sentinel.conf
if [ ! -e "$conf" ]; then
    {
        echo "port 26379"
        echo "dir /tmp"
        echo "protected-mode no"
        # Pods get new addresses: only their names last.
        echo "sentinel resolve-hostnames yes"
        echo "sentinel announce-hostnames yes"
        echo "sentinel announce-ip $POD.redis-nodes"
        echo "sentinel monitor chat $(sh /config/master.sh) 6379 $((REPLICAS / 2 + 1))"
        echo "sentinel down-after-milliseconds chat 5000"
        echo "sentinel failover-timeout chat 15000"
    } >"$conf.new"
    mv "$conf.new" "$conf"
fi
# The password may have changed since.
sed -i '/^sentinel auth-pass chat /d' "$conf"
echo "sentinel auth-pass chat $PASSWORD" >>"$conf"
# A Sentinel ends at once if it cannot resolve the master's name.
master=$(sed -n 's/^sentinel monitor chat \([^ ]*\) .*/\1/p' "$conf")
until getent hosts "$master" >/dev/null; do sleep 1; done
exec redis-server "$conf" --sentinel
