#!/usr/bin/env bash
# Prints the name under which rustup has the pinned Rust, if that is not its own name; else nothing.
# So the commands run on a machine that may not fetch toolchains by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -n ${RUSTUP_TOOLCHAIN:-} ]] || ! command -v rustup >/dev/null || cargo --version &>/dev/null; then
    exit
fi
pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if rustup run stable rustc --version 2>/dev/null | grep -qF "rustc ${pinned%.*}."; then
    echo stable
else
    # Installs what rust-toolchain.toml names.
    rustup toolchain install >&2
fi
