#!/usr/bin/env bash
# Installs the real servers for the tests into .backends: a root file system with the packages of
# RabbitMQ, Redis and PostgreSQL with DocumentDB, and FerretDB, which speaks MongoDB's protocol on top
# of it. About two minutes and 800 MB, once. Needs root on a system with apt.
set -euo pipefail
cd "$(dirname "$0")/.."

FERRETDB=v2.7.0
RELEASE=1 # of what is installed: raised, it is installed anew
made=${DARDA_BACKENDS:-$PWD/.backends}
root=$made/root

if [[ -e $root/etc/darda-backends/release && $(<"$root/etc/darda-backends/release") == "$RELEASE" && -x $made/bin/ferretdb ]]; then
    exit
fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "the servers are installed by apt, as root: here is neither, so what needs them is skipped" >&2
    exit "${DARDA_REQUIRE_BACKENDS:-0}"
fi
say() { printf '== %s\n' "$*" >&2; }

# Debian's own address if the machine is not Debian or does not say where it gets its packages.
mirror() {
    local named=
    if grep -qsx 'ID=debian' /etc/os-release; then
        named=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
            sed -nE 's/^URIs: *([^ ]+\/debian)\/? *$/\1/p; s/^deb (\[[^]]*\] *)?([^ ]+\/debian)\/? .*/\2/p' | head -n 1)
    fi
    echo "${named:-http://deb.debian.org/debian}"
}

if [[ ! -e $root/etc/darda-backends/release || $(<"$root/etc/darda-backends/release") != "$RELEASE" ]]; then
    say "RabbitMQ, Redis, PostgreSQL with DocumentDB"
    if ! command -v mmdebstrap >/dev/null; then
        apt-get update >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            mmdebstrap debian-archive-keyring >&2
    fi
    rm -rf "$root" "$root.part"
    mkdir -p "$made"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    mmdebstrap --mode=root --variant=apt --quiet --keyring="$keyring" \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include=postgresql-18,postgresql-18-documentdb,mawk,rabbitmq-server,redis-server \
        sid "$root.part" "$(mirror)" >&2
    mkdir "$root.part/etc/darda-backends"
    # The scripts by themselves: what is on the path wants to change its user.
    scripts=$(cd "$root.part" && echo usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin)
    ln -s "/$scripts" "$root.part/etc/darda-backends/rabbitmq"
    echo "$RELEASE" >"$root.part/etc/darda-backends/release"
    mv "$root.part" "$root"
fi

if [[ ! -x $made/bin/ferretdb ]]; then
    say "FerretDB $FERRETDB"
    mkdir -p "$made/bin"
    if command -v go >/dev/null; then
        GOBIN=$made/bin go install "github.com/FerretDB/FerretDB/v2/cmd/ferretdb@$FERRETDB" >&2
    else
        # The root file system has a newer Go than many machines; it builds, and goes again.
        chroot "$root" apt-get update >&2
        chroot "$root" apt-get install -y --no-install-recommends golang-go ca-certificates >&2
        cp /etc/resolv.conf "$root/etc/resolv.conf"
        chroot "$root" env HOME=/root GOBIN=/srv GOPROXY="${GOPROXY:-https://proxy.golang.org,direct}" \
            go install "github.com/FerretDB/FerretDB/v2/cmd/ferretdb@$FERRETDB" >&2
        mv "$root/srv/ferretdb" "$made/bin/ferretdb"
        chroot "$root" apt-get purge -y --autoremove golang-go >&2
        rm -rf "$root/root/go" "$root/root/.cache"
    fi
fi
say "installed in $made"
