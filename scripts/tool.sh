#!/usr/bin/env bash
# Prints the path of a cargo tool: the one on the PATH; else the given version, fetched as a binary
# if tools.txt names one for this kind of machine, or else built. Usage: tool.sh NAME VERSION
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1 version=$2
if path=$(command -v "$name"); then
    echo "$path"
    exit
fi
root=$PWD/target/tools/$name-$version
if [[ -x $root/bin/$name ]]; then
    echo "$root/bin/$name"
    exit
fi
mkdir -p "$root"
if grep -E "^[a-z-]*$name==$version " scripts/tools.txt >"$root/tools.txt" &&
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --root-user-action ignore --target "$root" --requirement "$root/tools.txt" >&2; then
    echo "$root/bin/$name"
    exit
fi
# A target directory of its own: built with other settings, it would evict the workspace's.
CARGO_TARGET_DIR=$root/build cargo install --locked --root "$root" --version "$version" "$name" >&2
rm -rf "$root/build"
echo "$root/bin/$name"
