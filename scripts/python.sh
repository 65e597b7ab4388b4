#!/usr/bin/env bash
# Prints the path of a Python with the packages of a requirements file, in a virtual environment of
# their own under target/tools. Usage: python.sh NAME REQUIREMENTS
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1 requirements=$2
root=$PWD/target/tools/$name
if ! cmp --silent "$requirements" "$root/requirements.txt"; then
    rm -rf "$root"
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
            echo "it takes Python 3 with venv" >&2
            exit 1
        fi
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv; } >&2
    fi
    python3 -m venv "$root" >&2
    "$root/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement "$requirements" >&2
    cp "$requirements" "$root/requirements.txt"
fi
echo "$root/bin/python"
