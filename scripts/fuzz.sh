#!/usr/bin/env bash
# Runs each fuzz target of the server for some seconds. Usage: fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/../darda-server"

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzzing needs a nightly Rust: rustup toolchain install nightly" >&2
    exit 1
fi
# Called by its path: through cargo it would be looked up beside the toolchain's own commands.
fuzz=$(../scripts/tool.sh cargo-fuzz 0.13.1)
for target in $(RUSTUP_TOOLCHAIN=nightly "$fuzz" fuzz list); do
    printf '\n== %s\n' "$target"
    RUSTUP_TOOLCHAIN=nightly "$fuzz" fuzz run "$target" -- -max_total_time="$1" -max_len=65536
done
