#!/usr/bin/env bash
# Prints the path of a cargo tool: the one on the PATH, or else the given version, built once into
# the target directory. Usage: tool.sh NAME VERSION
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1 version=$2
if path=$(command -v "$name"); then
    echo "$path"
    exit
fi
root=$PWD/target/tools/$name-$version
if [[ ! -x $root/bin/$name ]]; then
    # A target directory of its own: built with other settings, it would evict the workspace's.
    CARGO_TARGET_DIR=$root/build cargo install --locked --root "$root" --version "$version" "$name" >&2
    rm -rf "$root/build"
fi
echo "$root/bin/$name"
