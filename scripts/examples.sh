#!/usr/bin/env bash
# Runs every example. Each asserts what it shows, says so, and ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

# The client's example talks to the server's program.
cargo build --locked --workspace --all-features --examples --bin darda-server
target=${CARGO_TARGET_DIR:-target}
export DARDA_SERVER=$target/debug/darda-server
shopt -s nullglob
sources=(*/examples/*.rs */examples/*/main.rs)
for source in "${sources[@]}"; do
    example=${source#*/examples/}
    example=${example%/main.rs}
    example=${example%.rs}
    printf '\n== %s: %s\n' "${source%%/*}" "$example"
    if ! said=$(timeout 60 "$target/debug/examples/$example"); then
        echo "$source failed" >&2
        exit 1
    fi
    if [[ -z $said ]]; then
        echo "$source says nothing: what did it show?" >&2
        exit 1
    fi
    echo "$said"
done
if [[ ${#sources[@]} == 0 ]]; then
    echo "no examples found" >&2
    exit 1
fi
