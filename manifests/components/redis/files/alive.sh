#!/bin/sh
# Whether a Redis or a Sentinel answers at all: loading, or being a copy without a master, is no
# reason to start it again.
port=$1
timeout 4 redis-cli -p "$port" ping 2>&1 | grep -qE 'PONG|LOADING|MASTERDOWN|NOAUTH'
