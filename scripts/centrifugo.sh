#!/usr/bin/env bash
# Prints the path of Centrifugo: the one on the PATH, else one that is built by Go, once. Fails without.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=v6.9.1
if command -v centrifugo; then
    exit
fi
root=$PWD/target/tools/centrifugo-$VERSION
if [[ ! -x $root/centrifugo ]]; then
    if ! command -v go >/dev/null; then
        echo "no centrifugo: install it, or Go, which builds it" >&2
        exit 1
    fi
    GOBIN=$root go install "github.com/centrifugal/centrifugo/v6@$VERSION" >&2
fi
echo "$root/centrifugo"
