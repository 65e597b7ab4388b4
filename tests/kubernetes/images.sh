#!/usr/bin/env bash
# Builds the images of the run on a cluster and hands them to it: the server's, and one that stands in
# for RabbitMQ's, Redis's and MongoDB's, from the servers of scripts/backends.sh.
# Usage: images.sh LOAD…   LOAD…: the command that takes an archive (docker's kind) into the cluster
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '== %s\n' "$*" >&2; }
made=$PWD/target/e2e
mkdir -p "$made"

scripts/image.sh "$made/darda-server.tar"
[[ -e $made/darda-server.tar ]] || exit 1

scripts/backends.sh
servers=${DARDA_BACKENDS:-$PWD/.backends}
ours=$(cat tests/kubernetes/images.sh tests/kubernetes/stand-ins/* "$servers/root/etc/darda-backends/release" | sha256sum)
if [[ ! -e $made/backends.tar || $(cat "$made/backends.of" 2>/dev/null) != "$ours" ]]; then
    say "an image of RabbitMQ, Redis, and what stands in for MongoDB"
    work=$(mktemp -d "$made/work.XXXX")
    trap 'rm -rf "$work"' EXIT
    layer=$work/image/layer.tar
    mkdir -p "$work/image" "$work/more/usr/local/bin" "$work/more/etc"
    cp tests/kubernetes/stand-ins/* "$servers/bin/ferretdb" "$work/more/usr/local/bin/"
    # PostgreSQL wants its user to have a name.
    { cat "$servers/root/etc/passwd" && echo 'server:x:999:999::/tmp:/bin/sh'; } >"$work/more/etc/passwd"
    tar --create --file "$layer" --numeric-owner --one-file-system --directory "$servers/root" \
        --exclude './proc/*' --exclude './sys/*' --exclude './dev/*' --exclude './tmp/*' --exclude './srv/*' \
        --exclude './var/cache/*' --exclude './var/lib/apt/*' --exclude './etc/passwd' .
    tar --append --file "$layer" --numeric-owner --owner 0 --group 0 --directory "$work/more" .
    jq --null-input --arg layer "sha256:$(sha256sum "$layer" | cut -d ' ' -f 1)" --arg arch "$(dpkg --print-architecture)" '{
        architecture: $arch, os: "linux", rootfs: {type: "layers", diff_ids: [$layer]},
        config: {Env: ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}}' >"$work/image/config.json"
    echo '[{"Config": "config.json", "RepoTags": ["darda-backends:e2e"], "Layers": ["layer.tar"]}]' >"$work/image/manifest.json"
    tar --create --file "$made/backends.tar" --directory "$work/image" manifest.json config.json layer.tar
    echo "$ours" >"$made/backends.of"
fi
for archive in darda-server backends; do
    say "load $archive"
    "$@" "$made/$archive.tar" >&2
done
