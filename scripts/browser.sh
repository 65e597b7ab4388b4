#!/usr/bin/env bash
# The page in a real Chromium against a real server.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --locked -p darda-server
CHROMIUM=$(scripts/chromium.sh)
DARDA_SERVER=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/darda-server
export CHROMIUM DARDA_SERVER
cd tests/browser
npm ci --no-audit --no-fund
node --test
