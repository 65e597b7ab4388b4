#!/usr/bin/env bash
# The system on a real cluster, by both forms of the manifests, disturbed under load and judged by the
# clients of darda-proof. README.md says what it wants and what it does.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "SKIPPED the run on a cluster: $*" >&2
    exit "${DARDA_REQUIRE_BACKENDS:-0}"
}
[[ -n ${KUBECONFIG:-} ]] || skip "KUBECONFIG names none"
[[ -n ${DARDA_E2E_LOAD:-} ]] || skip "DARDA_E2E_LOAD must be the command that loads an archive with an image into it"
proof=${DARDA_PROOF:?the path of darda-proof}
: "${DARDA_SERVER:?the path of the server\'s release binary}"
read -ra load <<<"$DARDA_E2E_LOAD"
clients=(--clients "${CLIENTS:-16}" --conversations "${CONVERSATIONS:-6}" --rate "${RATE:-12}")

began=$SECONDS
say() { printf '== %4d s  %s\n' $((SECONDS - began)) "$*"; }
fail() {
    say "FAILED: $*"
    kubectl -n "$namespace" get pods,pvc || true
    exit 1
}

namespace=darda
forwarding=
clean() {
    [[ -z $forwarding ]] || kill "$forwarding" 2>/dev/null || true
    if [[ -z ${KEEP:-} ]]; then
        kubectl delete namespace darda darda-chart --ignore-not-found --wait=false >/dev/null 2>&1 || true
    fi
}
trap clean EXIT
k() { kubectl -n "$namespace" "$@"; }

# MongoDB's stand-in knows no replica set and no password.
store='mongodb://mongodb-0.mongodb:27017/?directConnection=true'

ready() {
    local workload
    for workload in statefulset/rabbitmq statefulset/mongodb statefulset/redis deployment/chat-gateway deployment/chat-writer; do
        k rollout status "$workload" --timeout 300s >/dev/null || fail "$workload does not become ready"
    done
}

# Where clients find the Service: what the machine can reach, else a port that kubectl forwards. That one
# leads to one pod, and is laid anew when the pod goes.
door() {
    local address
    address=$(k get service chat-service --output 'jsonpath={.spec.clusterIP}'):8080
    if [[ -n ${DARDA_E2E_GATEWAY:-} ]]; then
        echo "$DARDA_E2E_GATEWAY"
    elif curl --silent --fail --max-time 3 "http://$address/readyz" >/dev/null; then
        echo "$address"
    fi
}
forward() {
    local port=$1
    (
        trap 'kill $! 2>/dev/null' EXIT
        while :; do
            kubectl -n "$namespace" port-forward services/chat-service "$port:8080" >/dev/null 2>&1 &
            wait $! || true
            sleep 0.2
        done
    ) &
    forwarding=$!
    for _ in {1..100}; do
        if curl --silent --fail --max-time 2 "http://127.0.0.1:$port/readyz" >/dev/null; then return; fi
        sleep 0.2
    done
    fail "the forwarded port does not answer"
}
unforward() {
    kill "$forwarding" 2>/dev/null || true
    wait "$forwarding" 2>/dev/null || true
    forwarding=
}

# The clients, which stage by stage are told what happens.
attach() {
    local gateway line
    gateway=$(door)
    if [[ -z $gateway ]]; then
        forward 18080
        gateway=127.0.0.1:18080
    fi
    say "clients at $gateway"
    coproc PROOF { exec "$proof" attach --gateway "$gateway" "${clients[@]}" 2>&1; }
    # Its variables go when it ends.
    proof_pid=$PROOF_PID said=${PROOF[0]} told=${PROOF[1]}
    until_it_says 'under load'
}
until_it_says() {
    local line
    while IFS= read -r line <&"$said"; do
        echo "   $line"
        [[ $line != *"$1" ]] || return 0
    done
    fail "the clients ended before '$1'"
}
stage() {
    local name=$1
    shift
    say "$name"
    echo "$name" >&"$told"
    "$@" || fail "$name"
    ready
    echo "done" >&"$told"
    until_it_says "$name: over"
    sleep 5
}
verdict() {
    local line
    exec {told}>&-
    while IFS= read -r line <&"$said"; do echo "   $line"; done
    wait "$proof_pid" || fail "the clients' verdict"
    [[ -z $forwarding ]] || unforward
}

scale() { k scale deployment/chat-gateway --replicas "$1" >/dev/null; }
roll() { k rollout restart "$@" >/dev/null; }
# Without a word to it, as when its machine dies.
murder() { k delete pod "$@" --grace-period=0 --force --wait=true >/dev/null 2>&1; }
one_gateway() { k get pods -l app.kubernetes.io/component=gateway --output 'jsonpath={.items[0].metadata.name}'; }

gone() {
    local left
    kubectl delete namespace "$namespace" --ignore-not-found --timeout 180s >/dev/null || fail "the namespace stays"
    for _ in {1..60}; do
        left=$(kubectl get persistentvolumes --output "jsonpath={.items[?(@.spec.claimRef.namespace=='$namespace')].metadata.name}")
        [[ -n $left ]] || return 0
        sleep 1
    done
    fail "volumes stay: $left"
}

say "images"
tests/kubernetes/images.sh "${load[@]}"

# The overlay dev.
by_kustomize() {
    local passwords restarts
    say "kustomize: the overlay dev, by the README's commands"
    manifests/secrets.sh dev "$namespace"
    passwords=$(k get secret darda-passwords --output 'jsonpath={.data}')
    manifests/secrets.sh dev "$namespace" >/dev/null
    [[ $passwords == "$(k get secret darda-passwords --output 'jsonpath={.data}')" ]] || fail "secrets.sh draws passwords anew"
    k patch secret darda-urls --type merge --patch "{\"stringData\": {\"store\": \"$store\"}}" >/dev/null
    kubectl apply -k tests/kubernetes/overlay
    ready
    say "ready"
    forward 8080
    say "kubectl port-forward services/chat-service 8080:8080 answers: $(curl --silent http://127.0.0.1:8080/readyz)"
    unforward

    attach
    stage "scale gateways to 3" scale 3
    stage "roll gateways" roll deployment/chat-gateway
    stage "roll writers" roll deployment/chat-writer
    stage "kill a gateway" eval 'murder "$(one_gateway)"'
    stage "scale gateways to 1" scale 1
    stage "kill RabbitMQ" murder rabbitmq-0
    stage "kill Redis" murder redis-0
    stage "kill the database" murder mongodb-0
    stage "apply again" kubectl apply -k tests/kubernetes/overlay
    verdict
    restarts=$(k get pods -l 'app.kubernetes.io/component in (gateway,writer)' --output 'jsonpath={.items[*].status.containerStatuses[*].restartCount}')
    [[ $restarts =~ ^[0\ ]*$ ]] || fail "nodes were restarted by their probes: $restarts"
    say "uninstall"
    kubectl delete -k tests/kubernetes/overlay --timeout 180s >/dev/null || fail "delete"
    gone
    say "nothing is left"
}

# The chart.
by_helm() {
    local passwords left
    namespace=darda-chart
    python=$(scripts/python.sh manifests tests/manifests/requirements.txt)
    chart() { "$python" tests/kubernetes/chart.py "$namespace" "$@" 2>/dev/null || fail "helm $*"; }
    say "the chart: install"
    chart install
    k get secret darda-passwords >/dev/null
    passwords=$(k get secret darda-passwords --output 'jsonpath={.data}')
    # With the URL of the stand-in.
    url() { k get secret darda-urls --output "go-template={{ index .data \"$1\" | base64decode }}"; }
    k create secret generic e2e-urls --from-literal "broker=$(url broker)" --from-literal "cache=$(url cache)" --from-literal "store=$store" >/dev/null
    chart upgrade secrets.urls=e2e-urls
    ready
    [[ $passwords == "$(k get secret darda-passwords --output 'jsonpath={.data}')" ]] || fail "an upgrade draws passwords anew"
    chart test
    say "helm test passed"
    attach
    stage "upgrade to two gateways with another setting" chart upgrade secrets.urls=e2e-urls gateway.replicas=2 settings.DARDA_LOG=warn
    stage "roll back" chart rollback
    verdict
    say "uninstall"
    chart uninstall
    left=$(k get deployments,statefulsets,services,configmaps,serviceaccounts,networkpolicies,poddisruptionbudgets --output name -l app.kubernetes.io/name=darda)
    [[ -z $left ]] || fail "left: $left"
    k get secret darda-passwords >/dev/null || fail "the passwords of the volumes that stay are gone"
    k delete pvc,secret -l app.kubernetes.io/name=darda >/dev/null
    gone
    say "nothing is left"
}

for part in ${PARTS:-kustomize helm}; do "by_$part"; done
say "PASSED"
