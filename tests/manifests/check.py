"""Renders the manifests in both forms, validates them against the schemas of the oldest and the newest
Kubernetes that is supported, applies our own rules, and compares the two forms.

usage: check.py [--write] TOOL…      TOOL…: the command that renders a kustomization
--write writes the files of kustomize's form that are the chart's, instead."""

import copy
import difflib
import re
import sys

import helm_python as helm
import kubernetes_validate
import yaml

import policy
import rendering
from rendering import CHART, EVERYTHING, MANIFESTS, OVERLAYS, ROOT

# Of Kubernetes. manifests/README.md and Chart.yaml promise them.
OLDEST, NEWEST = "1.30", "1.37"

failures = []


def fail(what):
    failures.append(what)
    print(f"FAILED {what}")


def title(it):
    return f"{it['kind']} {it['metadata']['name']}"


def validate(origin, objects):
    for version in (OLDEST, NEWEST):
        for it in objects:
            try:
                kubernetes_validate.validate(it, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                fail(f"{origin}: {title(it)} is not one of Kubernetes {version}: {error.message}")


def obey(origin, objects, but=()):
    for it in objects:
        for what in policy.complaints(it, but):
            fail(f"{origin}: {what}")


def plain(objects):
    """Objects by title, without what one form has and the other has not for good reasons: kustomize puts a
    hash into the names of ConfigMaps, where helm writes a checksum beside them; kustomize makes the
    namespace and helm the Secrets."""
    found = {}
    for it in copy.deepcopy(objects):
        meta = it["metadata"]
        if it["kind"] in ("Namespace", "Secret") or "helm.sh/hook" in meta.get("annotations", {}):
            continue
        meta.pop("namespace", None)
        for labels in (meta.get("labels", {}),):
            labels.pop("helm.sh/chart", None)
            labels.pop("app.kubernetes.io/managed-by", None)
        template = it.get("spec", {}).get("template", {})
        annotations = template.get("metadata", {}).get("annotations", {})
        for key in [key for key in annotations if key.startswith("checksum/")]:
            annotations.pop(key)
        if template and not annotations:
            template["metadata"].pop("annotations", None)
        text = yaml.safe_dump(it, sort_keys=True)
        text = re.sub(r"\b((?:darda-settings|\w+-config))-[0-9a-z]{10}\b", r"\1", text)
        found[title(yaml.safe_load(text))] = text
    return found


def same(overlay, ours, theirs):
    """Nothing drifts: the chart with an overlay's values is the overlay."""
    ours, theirs = plain(ours), plain(theirs)
    for name in sorted(ours.keys() ^ theirs.keys()):
        fail(f"{overlay}: only {'kustomize' if name in ours else 'the chart'} has {name}")
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] != theirs[name]:
            lines = difflib.unified_diff(ours[name].splitlines(), theirs[name].splitlines(), "kustomize", "chart", lineterm="", n=1)
            fail(f"{overlay}: {name} differs\n  " + "\n  ".join(lines))


def of_chart(values):
    return [it for text in rendering.chart(values).values() for it in rendering.objects(text)]


def refused(values, word):
    """The chart does not take values that cannot work, and says why."""
    try:
        rendering.chart(values)
    except helm.HelmError as error:
        if word not in str(error):
            fail(f"the chart refuses {values}, but does not speak of {word}: {error}")
    else:
        fail(f"the chart takes {values}")


def chart_alone():
    for values in (rendering.dev(), rendering.PROD, rendering.EXTERNAL, EVERYTHING):
        report = helm.lint(str(CHART), values, strict=True)
        # There is no icon.
        for message in report["messages"]:
            if message["severity"] > 1:
                fail(f"helm lint: {message['path']}: {message['error']}")
        objects = of_chart(values)
        validate("chart", objects)
        obey("chart", objects, but=(policy.no_inline_secrets,))
    refused({}, "authentication")
    refused({"authentication": "none"}, "authentication")
    refused(rendering.PROD | {"redis": {"enabled": False}}, "secrets.urls")
    refused(rendering.PROD | {"writer": {"replicas": -1}}, "replicas")
    refused(rendering.PROD | {"gatway": {}}, "gatway")


def values_are_documented():
    readme = (CHART / "README.md").read_text()

    def names(values, before=""):
        for key, value in values.items():
            if isinstance(value, dict) and value and key not in ("resources",):
                yield from names(value, f"{before}{key}.")
            else:
                yield before + key

    for name in names(yaml.safe_load((CHART / "values.yaml").read_text())):
        if f"`{name}`" not in readme:
            fail(f"the chart's README does not explain {name}")


def versions_are_promised():
    readme = (MANIFESTS / "README.md").read_text()
    if f"{OLDEST} to {NEWEST}" not in readme:
        fail(f"manifests/README.md does not promise Kubernetes {OLDEST} to {NEWEST}")
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    if not chart["kubeVersion"].startswith(f">={OLDEST}."):
        fail(f"Chart.yaml does not promise Kubernetes {OLDEST}")
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    for key in ("version", "appVersion"):
        if chart[key] != version:
            fail(f"Chart.yaml: {key} is not the workspace's {version}")


def main(arguments):
    written = rendering.written()
    if "--write" in arguments:
        for path, text in written.items():
            path.write_text(text)
        return
    for path, text in written.items():
        if not path.exists() or path.read_text() != text:
            fail(f"{path.relative_to(ROOT)} is not what the chart says: `make manifests` writes it")
    for overlay in OVERLAYS:
        objects = rendering.kustomize(MANIFESTS / "overlays" / overlay, arguments)
        validate(overlay, objects)
        obey(overlay, objects)
        same(overlay, objects, of_chart(rendering.values_of(overlay)))
        print(f"{overlay}: {len(objects)} objects, for Kubernetes {OLDEST} and {NEWEST}, the same as the chart's")
    chart_alone()
    values_are_documented()
    versions_are_promised()
    # What an overlay of somebody's own looks like. The Gateway API has no schema in Kubernetes.
    own = rendering.kustomize(MANIFESTS / "examples/own-image", arguments)
    validate("own-image", own)
    obey("own-image", own)
    if not any("registry.example.org/our-chat:1.2.3" in str(it) for it in own):
        fail("own-image does not change the image")
    if failures:
        raise SystemExit(f"{len(failures)} failures")


main(sys.argv[1:])
