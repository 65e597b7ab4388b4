#!/usr/bin/env bash
# Prints the path of a Chromium: $CHROMIUM, one that is installed, or Debian's, which it installs.
set -euo pipefail

if [[ -n ${CHROMIUM:-} ]]; then
    echo "$CHROMIUM"
    exit
fi
find_one() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if find_one; then
    exit
fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    {
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
    } >&2
    if find_one; then
        exit
    fi
fi
echo "the browser tests need Chromium or Chrome: install one, or name it in CHROMIUM" >&2
exit 1
