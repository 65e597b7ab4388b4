#!/usr/bin/env bash
# Plays the suite of behaviour with each client that there is: clients/suite/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
# `make check` builds it too.
[[ -f clients/js/dist/darda-client.js ]] || scripts/js.sh check
"$target/debug/darda-suite" --subject "$target/debug/darda-suite-rust" \
    --subject "node clients/js/suite/subject.js" "$@"
