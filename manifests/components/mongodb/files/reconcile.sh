#!/bin/sh
# Beside each mongod: makes the replica set and its users, and looks again now and then. What it does
# can be done any number of times.
set -u
trap 'exit 0' TERM
while :; do
    if mongosh --quiet --norc --nodb --file /config/replica-set.js; then pause=60; else pause=3; fi
    # In the background, so that the signal is heard.
    sleep "$pause" &
    wait $!
done
