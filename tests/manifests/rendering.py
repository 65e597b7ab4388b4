"""Both forms of the manifests as Kubernetes would get them, and the files that one has of the other."""

import re
import subprocess
from pathlib import Path

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
CHART = MANIFESTS / "helm/darda"
NAMESPACE = "darda"
BASE = ("availability", "gateway", "identity", "network", "service", "writer")
COMPONENTS = ("rabbitmq", "mongodb", "redis")
OVERLAYS = ("dev", "prod", "external")
# A chart with nothing in it but what it must be told.
PROD = {"authentication": "image"}
EXTERNAL = PROD | {"secrets": {"urls": "darda-urls"}} | {name: {"enabled": False} for name in COMPONENTS}
EVERYTHING = PROD | {"ingress": {"enabled": True, "className": "nginx", "host": "chat.example.org", "tlsSecret": "chat-tls"}}


def dev():
    return yaml.safe_load((CHART / "values-dev.yaml").read_text())


def values_of(overlay):
    """The values with which the chart is what an overlay is."""
    return {"dev": dev(), "prod": PROD, "external": EXTERNAL}[overlay]


def chart(values):
    """The chart's files with these values, by name."""
    with helm.Chart.load(str(CHART)) as loaded:
        rendered = loaded.render(values, name="darda", namespace=NAMESPACE)
    files = {name.split("/templates/")[1]: text for name, text in rendered.items()}
    return {name: text for name, text in files.items() if name.endswith(".yaml") and text.strip()}


def kustomize(folder, tool):
    """What kustomize makes of a folder."""
    done = subprocess.run([*tool, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{folder}: {done.stderr}")
    return objects(done.stdout)


def objects(text):
    return [it for it in yaml.safe_load_all(text) if it]


def without_helm(text):
    """A file of the chart as kustomize wants it: it labels and checks by itself."""
    lines = (r" +app\.kubernetes\.io/managed-by: .*", r" +helm\.sh/chart: .*", r" +annotations:\n +checksum/.*")
    text = re.sub(f"^(?:{'|'.join(lines)})\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ +$\n?", "", text, flags=re.MULTILINE)
    return re.sub(r"\A(?:\s|---\n)+", "", re.sub(r"\n{2,}", "\n", text)).rstrip() + "\n"


def written():
    """The files of kustomize's form that are the chart's, by path."""
    rendered = chart(PROD)
    files = {MANIFESTS / "base" / f"{name}.yaml": rendered[f"{name}.yaml"] for name in BASE}
    for name in COMPONENTS:
        files[MANIFESTS / "components" / name / f"{name}.yaml"] = rendered[f"{name}.yaml"]
    return {path: without_helm(text) for path, text in files.items()}
