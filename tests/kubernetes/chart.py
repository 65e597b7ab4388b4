"""Does with the chart what the helm command would, by the same library.

usage: chart.py NAMESPACE install|upgrade|test|rollback|uninstall [VALUE=…]…"""

import sys
from pathlib import Path

import helm_python as helm
import yaml

CHART = Path(__file__).resolve().parents[2] / "manifests/helm/darda"
NAME = "darda"


def values(settings):
    chosen = yaml.safe_load((CHART / "values-dev.yaml").read_text())
    for server in ("rabbitmq", "mongodb", "redis"):
        chosen[server]["image"] = "darda-backends:e2e"
    # What the judging clients need.
    chosen["settings"] = {"DARDA_RATE_LIMITS": "off", "DARDA_HEARTBEAT_MS": "5000"}
    for setting in settings:
        path, value = setting.split("=", 1)
        *folders, key = path.split(".")
        place = chosen
        for folder in folders:
            place = place.setdefault(folder, {})
        place[key] = int(value) if value.isdigit() else value
    return chosen


def main(namespace, action, *settings):
    with helm.Config(namespace=namespace) as cluster:
        if action == "install":
            # Not yet ready: the database that the chart names is not the one that stands in for it.
            cluster.install(str(CHART), NAME, values(settings), namespace=namespace, create_namespace=True)
        elif action == "upgrade":
            cluster.upgrade(str(CHART), NAME, values(settings), namespace=namespace, wait="watcher", timeout=300)
        elif action == "test":
            cluster.test(NAME, timeout=120)
        elif action == "rollback":
            cluster.rollback(NAME, wait="watcher", timeout=300)
        elif action == "uninstall":
            cluster.uninstall(NAME, wait="watcher", timeout=180)
        else:
            raise SystemExit(__doc__)


main(*sys.argv[1:])
