#!/usr/bin/env bash
# Makes the Secrets that the overlays dev and prod want: passwords, drawn once and kept, and the URLs
# with them. It can be run again at any time. Usage: manifests/secrets.sh dev|prod [NAMESPACE]
set -euo pipefail

case ${1:-} in
    dev) replicas=1 ;;
    prod) replicas=3 ;;
    *) sed -n '2,3s/^# //p' "$0" >&2 && exit 2 ;;
esac
namespace=${2:-darda}
k() { kubectl --namespace "$namespace" "$@"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Letters and digits only: they go into URLs. Files: a command line can be seen by others.
password() { LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c "$2" >"$work/$1" || [[ $? == 141 ]]; }

kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create namespace "$namespace" --save-config
mkdir "$work/urls"
if k get secret darda-passwords >/dev/null 2>&1; then
    for key in rabbitmq mongodb redis; do
        k get secret darda-passwords --output "go-template={{ index .data \"$key\" | base64decode }}" >"$work/$key"
    done
else
    password rabbitmq 32
    password rabbitmq-cookie 48
    password mongodb 32
    password mongodb-root 32
    password mongodb-keyfile 512
    password redis 32
    rmdir "$work/urls"
    k create secret generic darda-passwords --from-file "$work"
    mkdir "$work/urls"
fi

members=() sentinels=()
for ((at = 0; at < replicas; at++)); do
    members+=("mongodb-$at.mongodb:27017")
    sentinels+=("redis-$at.redis-nodes")
done
join() { local IFS=, && echo "$*"; }
printf 'amqp://darda:%s@rabbitmq:5672/%%2f' "$(<"$work/rabbitmq")" >"$work/urls/broker"
printf 'mongodb://darda:%s@%s/?replicaSet=chat&authSource=admin' \
    "$(<"$work/mongodb")" "$(join "${members[@]}")" >"$work/urls/store"
printf 'redis+sentinel://:%s@%s/chat' "$(<"$work/redis")" "$(join "${sentinels[@]}")" >"$work/urls/cache"
k create secret generic darda-urls --from-file "$work/urls" --dry-run=client --output yaml |
    k apply --server-side --field-manager darda-secrets --force-conflicts --filename -
