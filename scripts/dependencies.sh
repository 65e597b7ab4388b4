#!/usr/bin/env bash
# The rules of who may depend on whom, proved by cargo's own resolution.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
adapters=(darda-transport-rabbit darda-store-mongo darda-cache-redis)
above_the_server=(darda-server darda-bench darda-sim)

mapfile -t crates < <(cargo tree --locked --workspace --depth 0 --prefix none --format '{p}' |
    awk 'NF { print $1 }' | sort -u)

# Names of all that a crate needs to run, features on.
needs() {
    cargo tree --locked -p "$1" --all-features --edges normal,build --target all --prefix none \
        --format '{p}' | awk 'NR > 1 { print $1 }' | sort -u
}

forbid() {
    local crate=$1 why=$2
    shift 2
    local found
    found=$(needs "$crate" | grep -Fx -f <(printf '%s\n' "$@") || true)
    if [[ -n $found ]]; then
        echo "$crate must not depend on ${found//$'\n'/, }: $why" >&2
        failed=1
    fi
}

forbid darda-core "the core knows no driver, no web framework and no wire format" \
    lapin mongodb redis axum hyper tower tungstenite tokio-tungstenite serde_json "${adapters[@]}"

forbid darda-client "an app's client knows the protocol, and drags no engine along" \
    darda-core "${adapters[@]}"

for crate in "${crates[@]}"; do
    if [[ " ${adapters[*]} " == *" $crate "* ]]; then
        others=()
        for other in "${adapters[@]}"; do [[ $other == "$crate" ]] || others+=("$other"); done
        forbid "$crate" "adapters know the core and not each other" "${others[@]}"
    fi
    if [[ " ${above_the_server[*]} " != *" $crate "* ]]; then
        forbid "$crate" "nothing depends on the server" darda-server
    fi
done

# An app configures the core by values. The suite for implementers asks whether back ends must be there.
if grep -rnE '\benv::|\bstd::net\b|tokio::net' darda-core/src --include='*.rs' --exclude-dir=conformance >&2; then
    echo "darda-core reads no environment and opens no socket" >&2
    failed=1
fi

[[ $failed == 0 ]] && echo "kept by ${crates[*]}"
exit "$failed"
