#!/usr/bin/env bash
# Writes what the server is made of, in SPDX, by syft: every crate that Cargo.lock names, those that only
# tests use included. Usage: sbom.sh FILE
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/python.sh syft scripts/syft.txt)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp Cargo.lock "$work/"
mkdir -p "$(dirname "$1")"
SYFT_CHECK_FOR_APP_UPDATE=false "$(dirname "$python")/syft" scan --quiet "dir:$work" --source-name darda-server \
    --output "spdx-json=$1"
crates=$(grep -c '^name = ' Cargo.lock)
listed=$(grep -o '"pkg:cargo/' "$1" | wc -l)
echo "$1: $listed packages of the $crates in Cargo.lock"
((listed * 10 >= crates * 9))
