#!/usr/bin/env bash
# Prints a command that renders a kustomization: kustomize's or kubectl's if they are there and not too
# old, else a kustomize that is built by Go, or Debian's kubectl, in the root file system of
# scripts/backends.sh. Fails if there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=v5.6.0
if command -v kustomize >/dev/null; then
    echo "kustomize build"
    exit
fi
# Components and deletions by pattern want kustomize 5.
if command -v kubectl >/dev/null && kubectl version --client 2>/dev/null | grep -q 'Kustomize Version: v5'; then
    echo "kubectl kustomize"
    exit
fi
root=$PWD/target/tools/kustomize-$VERSION
if [[ ! -x $root/kustomize ]] && command -v go >/dev/null; then
    GOBIN=$root go install "sigs.k8s.io/kustomize/kustomize/v5@$VERSION" >&2 || true
fi
if [[ -x $root/kustomize ]]; then
    echo "$root/kustomize build"
    exit
fi
servers=${DARDA_BACKENDS:-$PWD/.backends}/root
if [[ $(id -u) == 0 && -x $servers/usr/bin/apt-get ]]; then
    if [[ ! -x $servers/usr/bin/kubectl ]]; then
        chroot "$servers" apt-get update >&2
        chroot "$servers" apt-get install -y --no-install-recommends kubernetes-client >&2
    fi
    # It is one static binary.
    mkdir -p "$root"
    cp "$servers/usr/bin/kubectl" "$root/"
    echo "$root/kubectl kustomize"
    exit
fi
echo "no kustomize: install it, or kubectl 1.27 or newer, or Go" >&2
exit 1
