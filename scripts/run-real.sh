#!/usr/bin/env bash
# Two gateways and a writer on the servers that DARDA_TEST_…_URL name, until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."

server=${DARDA_SERVER:?the path of the server}
export DARDA_BROKER=$DARDA_TEST_AMQP_URL DARDA_CACHE=$DARDA_TEST_REDIS_URL DARDA_STORE=$DARDA_TEST_MONGO_URL
nodes=()
start() {
    DARDA_ROLE=$1 DARDA_NODE=$2 DARDA_LISTEN=127.0.0.1:$3 "$server" &
    nodes+=("$!")
}
# They drain, and only then the servers below them go.
stop() {
    trap '' INT TERM
    kill -TERM "${nodes[@]}" 2>/dev/null || true
    wait
}
trap stop EXIT
trap exit INT TERM
port=${PORT:-8080}
start writer writer-1 $((port + 2))
start gateway gateway-1 "$port"
start gateway gateway-2 $((port + 1))
echo "two gateways: http://127.0.0.1:$port and http://127.0.0.1:$((port + 1))"
wait -n
