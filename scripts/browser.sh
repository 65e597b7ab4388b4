#!/usr/bin/env bash
# The page in a real Chromium against a real server: the one that DARDA_SERVER names, or one built now.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${DARDA_SERVER:-} ]]; then
    cargo build --locked -p darda-server
    DARDA_SERVER=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/darda-server
fi
CHROMIUM=$(scripts/chromium.sh)
export CHROMIUM DARDA_SERVER
cd tests/browser
npm ci --no-audit --no-fund
node --test
