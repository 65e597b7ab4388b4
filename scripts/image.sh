#!/usr/bin/env bash
# Builds the server's image from the release binary that is there, as root with buildah, which it
# installs; checks what can be read of it, and runs it as Kubernetes would: as its own user, with a
# root file system that it cannot write. Usage: image.sh [ARCHIVE]
# ARCHIVE: also writes the image there, as a docker archive named darda-server:VERSION.
#
# The whole Dockerfile, which compiles, needs Rust's image: `docker build .` does that where it can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED the image: $*" >&2
    exit "${DARDA_REQUIRE_BACKENDS:-0}"
}
say() { printf '== %s\n' "$*" >&2; }
fail() {
    echo "FAILED the image: $*" >&2
    exit 1
}

binary=${DARDA_SERVER:?the path of the server\'s release binary}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=localhost/darda-server:$version
largest=40000000

if [[ $(id -u) != 0 ]]; then skip "it takes root"; fi
missing=()
for tool in buildah runc skopeo curl jq; do command -v "$tool" >/dev/null || missing+=("$tool"); done
if ((${#missing[@]})); then
    command -v apt-get >/dev/null || skip "without apt, install ${missing[*]}"
    say "installing ${missing[*]}"
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >&2
fi

work=$(mktemp -d)
container=
# What was started ends, whatever comes.
clean() {
    [[ -z $container ]] || runc --root "$work/runc" delete --force "$container" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT
# A store of its own: nothing of the machine's is changed, or relied on.
b() { buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }
printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$work/policy.json"
# Where this kind of limit cannot be raised, buildah would not start.
printf '[containers]\ndefault_ulimits = []\n' >"$work/containers.conf"
export CONTAINERS_CONF=$work/containers.conf

say "build"
mkdir "$work/context"
# The last stage, with what it takes from the one before made here: that one wants Rust's image.
sed '1,/^FROM scratch$/{/^FROM scratch$/!d}; s|^COPY --from=compiled /image /$|COPY image /|' Dockerfile >"$work/context/Dockerfile"
grep -qx 'COPY image /' "$work/context/Dockerfile" || fail "its last stage takes /image from somewhere else"
scripts/image-root.sh "$binary" "$work/context/image"
build() {
    b bud --quiet --isolation chroot --format oci --pull-never --signature-policy "$work/policy.json" \
        --timestamp 0 --tag "$1" "$work/context"
}
first=$(build "$name")
[[ $first == "$(build "$name")" ]] || fail "two builds of the same differ"

say "look"
archive=$work/image.tar
b push --quiet --signature-policy "$work/policy.json" "$name" "docker-archive:$archive:darda-server:$version"
config=$(skopeo --policy "$work/policy.json" inspect --config "docker-archive:$archive")
reads() { jq --exit-status "$1" <<<"$config" >/dev/null || fail "$2: $(jq --compact-output .config <<<"$config")"; }
reads '.config.User == "65532:65532"' "its user"
reads '.config.Entrypoint == ["darda-server"]' "its entry point"
reads '.config.Labels["org.opencontainers.image.licenses"]' "its labels"
size=$(stat --format %s "$archive")
((size < largest)) || fail "$size bytes are not below $largest"
if tar --extract --to-stdout --file "$archive" --wildcards '*.tar' 2>/dev/null | tar --list --ignore-zeros 2>/dev/null | grep -E '(^|/)(ba|da|)sh$'; then
    fail "there is a shell in it"
fi

say "run"
mkdir -p "$work/bundle/rootfs"
mounted=$(b from --quiet --pull-never --signature-policy "$work/policy.json" "$name")
cp -a "$(b mount "$mounted")/." "$work/bundle/rootfs/"
b umount "$mounted" >/dev/null
# What a pod of the restricted Pod Security Standard with a read-only root file system gets.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
(cd "$work/bundle" && runc spec)
jq --arg listen "127.0.0.1:$port" '
    .process.terminal = false | .process.user = {uid: 65532, gid: 65532}
    | .process.args = ["darda-server"] | .process.env = ["PATH=/usr/local/bin", "DARDA_LISTEN=" + $listen]
    | .process.capabilities = {} | .process.noNewPrivileges = true | .process.rlimits = []
    | .root.readonly = true
    | .linux.namespaces |= map(select(.type != "network" and .type != "cgroup")) | .linux.resources = {}' \
    "$work/bundle/config.json" >"$work/config.json"
mv "$work/config.json" "$work/bundle/config.json"
r() { runc --root "$work/runc" "$@"; }
container=darda-image-$$
r run --detach --bundle "$work/bundle" "$container" >"$work/log" 2>&1 </dev/null || {
    if grep -qE 'cgroup|operation not permitted' "$work/log"; then
        cat "$work/log" >&2
        container=
        skip "no container runs here; it was built and looked at"
    fi
    fail "$(cat "$work/log")"
}
well() { r exec "$container" darda-server healthcheck; }
for ((tries = 0; tries < 100; tries++)); do
    if well 2>"$work/why"; then break; fi
    sleep 0.1
done
well 2>"$work/why" || fail "it is not well: $(cat "$work/why" "$work/log")"
curl --silent --fail "http://127.0.0.1:$port/readyz" >/dev/null || fail "it does not answer"
pid=$(r state "$container" | jq .pid)
[[ $(awk '/^Uid:/ {print $2 $3 $4 $5}' "/proc/$pid/status") == 65532655326553265532 ]] || fail "it does not run as its own user"
[[ $(awk '/^CapEff:/ {print $2}' "/proc/$pid/status") == 0000000000000000 ]] || fail "it has capabilities"
awk '$5 == "/" {print $6}' "/proc/$pid/mountinfo" | grep -q '^ro' || fail "its root file system can be written"
r kill "$container" TERM
for ((tries = 0; tries < 200; tries++)); do
    [[ $(r state "$container" 2>/dev/null | jq -r .status) == running ]] || break
    sleep 0.1
done
[[ $(r state "$container" 2>/dev/null | jq -r .status) == stopped ]] || fail "it does not end at SIGTERM"
say "an image of $((size / 1000000)) MB: reproducible, no shell; it runs as its own user on a read-only root, is well, and ends at SIGTERM"

if [[ -n ${1:-} ]]; then
    mkdir -p "$(dirname "$1")"
    cp "$archive" "$1"
    say "wrote $1"
fi
