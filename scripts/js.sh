#!/usr/bin/env bash
# The TypeScript client: build, types, size, its tests, and its tabs in a real Chromium against a real
# server: the one that DARDA_SERVER names, or one built now. `js.sh check` builds and compares alone.
set -euo pipefail
cd "$(dirname "$0")/.."

# Smaller than this, gzipped: everything, with tabs and IndexedDB.
MAX_BYTES=8000
PAGE_COPY=darda-server/page/js/vendor/darda-client.js

(
    cd clients/js
    # esbuild and tsc need no scripts of theirs.
    npm ci --ignore-scripts --no-audit --no-fund
    npm run --silent build
)
bundle=clients/js/dist/darda-client.js

bytes=$(gzip -9 -n -c "$bundle" | wc -c)
echo "the client is $bytes bytes, gzipped; fewer than $MAX_BYTES are promised"
if ((bytes >= MAX_BYTES)); then
    echo "the client is too large" >&2
    exit 1
fi
if ! cmp "$bundle" "$PAGE_COPY"; then
    echo "the page's copy of the client is not what clients/js builds: cp $bundle $PAGE_COPY" >&2
    exit 1
fi
[[ ${1:-} == check ]] && exit

if [[ -z ${DARDA_SERVER:-} ]]; then
    cargo build --locked -p darda-server
    DARDA_SERVER=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/darda-server
fi
CHROMIUM=$(scripts/chromium.sh)
export CHROMIUM DARDA_SERVER
cd clients/js
node --test test/*.test.js test/browser/*.test.js
