#!/usr/bin/env bash
# Runs every example. Each asserts what it shows and ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --locked --workspace --all-features --examples
target=${CARGO_TARGET_DIR:-target}
shopt -s nullglob
for source in */examples/*.rs */examples/*/main.rs; do
    example=${source#*/examples/}
    example=${example%/main.rs}
    example=${example%.rs}
    printf '\n== %s: %s\n' "${source%%/*}" "$example"
    timeout 60 "$target/debug/examples/$example"
done
