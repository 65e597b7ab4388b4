#!/usr/bin/env bash
# Lays out the root file system of the server's image: the binary without its debug symbols, the
# libraries that it is linked to, the authorities that TLS believes, and a name for its user.
# Usage: image-root.sh BINARY FOLDER
set -euo pipefail

binary=$1 root=$2
rm -rf "$root"
mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/tmp"
strip --strip-debug -o "$root/usr/local/bin/darda-server" "$binary"
# Each where the binary looks for it. Name look-ups are in libc itself since glibc 2.34.
ldd "$binary" | grep -oE '/[^ ]+' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
authorities=/etc/ssl/certs/ca-certificates.crt
if [[ ! -e $authorities ]]; then
    apt-get update >&2
    apt-get install -y --no-install-recommends ca-certificates >&2
fi
cp -L "$authorities" "$root$authorities"
echo 'darda:x:65532:65532::/:/nonexistent' >"$root/etc/passwd"
echo 'darda:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
chmod 1777 "$root/tmp"
# The same content gives the same image, whenever and by whom it is built.
find "$root" -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH:-0}" {} +
