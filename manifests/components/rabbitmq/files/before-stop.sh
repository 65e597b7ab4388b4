#!/bin/sh
# Waits until the quorum queues do without this node. One that is alone has nobody to wait for, and
# a node that cannot be asked must still be able to stop.
set -u
if [ "$REPLICAS" != 1 ]; then
    rabbitmq-upgrade --quiet await_online_quorum_plus_one -t 60 || true
fi
