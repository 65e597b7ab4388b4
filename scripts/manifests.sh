#!/usr/bin/env bash
# Everything about the image and the manifests that is judged without a cluster: tests/manifests says
# what. `--write` writes the files of kustomize's form that are the chart's, instead.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

python=$(scripts/python.sh manifests tests/manifests/requirements.txt)
export PYTHONDONTWRITEBYTECODE=1
if [[ ${1:-} == --write ]]; then
    "$python" tests/manifests/check.py --write
    exit
fi

step "Dockerfile"
"$(dirname "$python")/hadolint" --failure-threshold style Dockerfile

step "manifests"
if render=$(scripts/kustomize.sh); then
    # Words, not one: a command with its argument.
    # shellcheck disable=SC2086
    "$python" tests/manifests/check.py $render
else
    echo "SKIPPED the manifests: there is nothing here that renders them" >&2
    if [[ ${DARDA_REQUIRE_BACKENDS:-0} == 1 ]]; then exit 1; fi
fi

step "the manifests' scripts"
for script in manifests/secrets.sh manifests/components/*/files/*.sh; do
    case $(head -n 1 "$script") in
        */sh) sh -n "$script" ;;
        *) bash -n "$script" ;;
    esac
done
node --test tests/manifests/*.test.mjs
