#!/usr/bin/env bash
# The same load on Darda and its peers, on loopback, one after the other; then one table of all.
#
# Usage: bench-peers.sh [--quick] [--only darda,socketio,centrifugo] [OPTION OF darda load]…
#
# Without options of `darda load`: 1,000 sessions, 200 messages/s, 15 s.
# --quick: small and short, shows that all runs and that nothing is lost, measures nothing.
# The same receipts with all, so none in groups of more than 100 members: relayed one by one they would be
# more than all the rest. Darda is measured with receipts everywhere as well.
# One node each, all in memory. If DARDA_TEST_…_URL name servers, two nodes each as well: Darda on all three
# servers, its peers on Redis. DARDA_SERVER names Darda's binary, DARDA the command `darda`.
set -euo pipefail
cd "$(dirname "$0")/.."

load=(--sessions 1000 --rate 200 --seconds 15)
only=darda,socketio,centrifugo
quick=
while (($#)); do
    case $1 in
    --quick)
        quick=yes
        load=(--strict --sessions 40 --rate 50 --seconds 2 --warm-up 1)
        ;;
    --only)
        only=$2
        shift
        ;;
    *) break ;;
    esac
    shift
done
(($#)) && load=("$@")
load=(--mix chat "${load[@]}")

target=$(realpath "${CARGO_TARGET_DIR:-target}")
server=${DARDA_SERVER:-$target/release/darda-server}
darda=${DARDA:-$target/release/darda}
# Each session is a socket here and one in the server.
ulimit -n "$(ulimit -Hn)"

work=$(mktemp -d)
nodes=()
stop() {
    ((${#nodes[@]})) && kill "${nodes[@]}" 2>/dev/null || true
    wait
    nodes=()
}
trap 'stop; rm -rf "$work"' EXIT
trap exit INT TERM

# start NAME COMMAND…: starts a server whose output names its address, and waits for that.
addresses=()
start() {
    local output=$work/$1.$((${#nodes[@]})).log address
    shift
    # Looked into before the server has opened it.
    : >"$output"
    "$@" >"$output" 2>&1 &
    nodes+=("$!")
    for _ in {1..300}; do
        address=$(sed -n 's|.*listening on http://\([0-9.:]*\).*|\1|p' "$output" | head -1)
        if [[ -n $address ]]; then
            addresses+=("$address")
            return
        fi
        kill -0 "${nodes[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    echo "it did not start: $*" >&2
    cat "$output" >&2
    exit 1
}

# Centrifugo takes no port 0 and says nothing that is made to be read: it is asked until it answers.
start_centrifugo() {
    local port
    port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => {
        console.log(s.address().port); s.close(); })')
    "$centrifugo" --config tests/peers/centrifugo.json --http_server.port "$port" \
        --health.enabled >"$work/centrifugo.$port.log" 2>&1 &
    nodes+=("$!")
    for _ in {1..300}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            addresses+=("127.0.0.1:$port")
            return
        fi
        sleep 0.1
    done
    echo "Centrifugo did not start" >&2
    cat "$work/centrifugo.$port.log" >&2
    exit 1
}

# measure NAME PROTOCOL [all]: puts the load on the servers that were started, with receipts everywhere if it
# says all, and stops them.
results=()
few=(--receipts-up-to 100)
[[ ${load[*]} == *--receipts-up-to* ]] && few=()
measure() {
    local name=$1 protocol=$2 receipts=("${few[@]}") servers=() pids address
    [[ ${3:-} == all ]] && receipts=()
    for address in "${addresses[@]}"; do
        servers+=(--server "ws://$address")
    done
    pids=$(IFS=,; echo "${nodes[*]}")
    printf '\n== %s\n' "$name"
    "$darda" load --protocol "$protocol" "${servers[@]}" --pid "server=$pids" \
        --json "$work/$name.json" "${receipts[@]}" "${load[@]}"
    results+=("$name=$work/$name.json")
    addresses=()
    stop
}

# Darda in memory, and on servers.
start_darda() {
    start darda env -u DARDA_BROKER -u DARDA_CACHE -u DARDA_STORE DARDA_ROLE=both "$server"
}
start_darda_nodes() {
    local -x DARDA_BROKER=$DARDA_TEST_AMQP_URL DARDA_CACHE=$DARDA_TEST_REDIS_URL
    local -x DARDA_STORE=$DARDA_TEST_MONGO_URL DARDA_NAMESPACE=peers$$-${#results[@]}
    start darda env DARDA_ROLE=gateway DARDA_NODE=gateway-1 "$server"
    start darda env DARDA_ROLE=gateway DARDA_NODE=gateway-2 "$server"
    local gateways=("${addresses[@]}")
    start darda env DARDA_ROLE=writer DARDA_NODE=writer-1 "$server"
    # Nobody connects to a writer; its CPU counts.
    addresses=("${gateways[@]}")
}

wanted() { [[ ,$only, == *,$1,* ]]; }
# More is shared by two nodes than memory: see the top.
real=
[[ -z $quick && -n ${DARDA_TEST_REDIS_URL:-} ]] && real=yes

export DARDA_LISTEN=127.0.0.1:0 DARDA_RATE_LIMITS=off DARDA_LOG=warn
if wanted darda; then
    start_darda
    measure darda-memory darda
    start_darda
    measure darda-memory-all darda all
    if [[ $real ]]; then
        start_darda_nodes
        measure darda-two-nodes darda
        start_darda_nodes
        measure darda-two-nodes-all darda all
    fi
fi
if wanted socketio; then
    (cd tests/peers && npm ci --no-audit --no-fund --silent)
    start socketio node tests/peers/socketio.js
    measure socketio-memory socketio
    if [[ $real ]]; then
        start socketio env REDIS_URL="$DARDA_TEST_REDIS_URL" node tests/peers/socketio.js
        start socketio env REDIS_URL="$DARDA_TEST_REDIS_URL" node tests/peers/socketio.js
        measure socketio-two-nodes socketio
    fi
fi
if wanted centrifugo; then
    if centrifugo=$(scripts/centrifugo.sh); then
        start_centrifugo
        measure centrifugo-memory centrifugo
        if [[ $real ]]; then
            export CENTRIFUGO_ENGINE_TYPE=redis
            export CENTRIFUGO_ENGINE_REDIS_ADDRESS=$DARDA_TEST_REDIS_URL
            start_centrifugo
            start_centrifugo
            measure centrifugo-two-nodes centrifugo
        fi
    else
        echo "SKIPPED: Centrifugo" >&2
    fi
fi
printf '\n'
node tests/peers/summary.js "${results[@]}"
