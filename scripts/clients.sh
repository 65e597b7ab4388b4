#!/usr/bin/env bash
# Plays the suite of behaviour with each client that there is: clients/suite/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
subjects=(--subject "$target/debug/darda-suite-rust")
javascript=clients/js/suite/subject.js
if [[ -f $javascript ]]; then
    [[ -d clients/js/node_modules ]] || npm ci --prefix clients/js --no-audit --no-fund
    subjects+=(--subject "node $javascript")
else
    echo "SKIPPED: the TypeScript client, since there is no $javascript" >&2
fi
"$target/debug/darda-suite" "${subjects[@]}" "$@"
