#!/usr/bin/env bash
# Everything that is judged without running the server. Each step says its name.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
# As an app gets the core: without what only tests ask for.
cargo clippy --locked -p darda-core -- -D warnings

step "docs"
export RUSTDOCFLAGS="-D warnings"
cargo doc --locked --workspace --no-deps --all-features
cargo doc --locked -p darda-core --no-deps
unset RUSTDOCFLAGS

step "dependency rules"
scripts/dependencies.sh

step "minimum Rust version"
declared=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
# The lints and tests above ran on the pinned toolchain: it is the minimum that is promised.
if [[ $pinned != "$declared" && $pinned != "$declared".* ]]; then
    echo "Cargo.toml promises Rust $declared, but rust-toolchain.toml tests $pinned" >&2
    exit 1
fi
echo "Rust $declared, tested with $pinned"

step "licences, bans, sources"
"$(scripts/tool.sh cargo-deny 0.20.2)" --locked check --hide-inclusion-graph bans licenses sources

step "the TypeScript client: types, size, and the page's copy of it"
scripts/js.sh check

step "snapshots of frames and OpenAPI, and the documents that show them"
# They are rewritten only where this is set: here a difference fails.
env -u UPDATE_SNAPSHOTS cargo test --locked --workspace --all-features --quiet --test snapshots

step "image and manifests"
scripts/manifests.sh
