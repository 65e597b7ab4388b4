#!/bin/sh
# Starts a member of the replica set. mongod wants its keyfile to be readable by its owner only,
# which a mounted Secret is not.
set -eu
umask 077
cat /passwords/mongodb-keyfile >/tmp/keyfile
chmod 400 /tmp/keyfile
exec mongod --replSet chat --bind_ip_all --dbpath /data/db --auth --keyFile /tmp/keyfile
