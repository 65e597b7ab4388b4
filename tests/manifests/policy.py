"""What every pod of ours must be, whoever renders it: the restricted Pod Security Standard, and what it
does not ask for. Each rule is a function from an object to complaints."""

import re


def templates(it):
    """The pod specs of an object."""
    if it["kind"] == "Pod":
        return [it["spec"]]
    template = it.get("spec", {}).get("template")
    return [template["spec"]] if template else []


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


def restricted(it):
    for pod in templates(it):
        if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield "shares a namespace with its host"
        kinds = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
        for volume in pod.get("volumes", []):
            if not kinds & set(volume):
                yield f"volume {volume['name']} is of a kind that is not allowed"
        shared = pod.get("securityContext", {})
        if not shared.get("runAsNonRoot") or not shared.get("runAsUser"):
            yield "may run as root"
        if shared.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield "has no seccomp profile"
        for one in containers(pod):
            own = one.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False:
                yield f"{one['name']} may gain privileges"
            if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
                yield f"{one['name']} keeps capabilities"
            if own.get("runAsUser") == 0 or own.get("privileged"):
                yield f"{one['name']} is root or privileged"
            if any("hostPort" in port for port in one.get("ports", [])):
                yield f"{one['name']} takes a port of its host"


def read_only(it):
    for pod in templates(it):
        for one in containers(pod):
            if not one.get("securityContext", {}).get("readOnlyRootFilesystem"):
                yield f"{one['name']} can write its root file system"


def no_token(it):
    for pod in templates(it):
        if pod.get("automountServiceAccountToken") is not False:
            yield "gets a token for Kubernetes, which it has no use for"
        if pod.get("enableServiceLinks") is not False:
            yield "gets Services' addresses in its environment"


def resources(it):
    for pod in templates(it):
        for one in containers(pod):
            set_ = one.get("resources", {})
            if not {"cpu", "memory"} <= set(set_.get("requests", {})) or "memory" not in set_.get("limits", {}):
                yield f"{one['name']} does not say what it needs"


def probes(it):
    if it["kind"] not in ("Deployment", "StatefulSet"):
        return
    for pod in templates(it):
        for one in containers(pod):
            # What serves nothing has nothing to be asked.
            if not one.get("ports"):
                continue
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe not in one:
                    yield f"{one['name']} has no {probe}"
            if one.get("livenessProbe", {}).get("httpGet", {}).get("path") == "/readyz":
                yield f"{one['name']} would be killed for what is another's fault"


def images(it):
    for pod in templates(it):
        for one in containers(pod):
            if not re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", one["image"]) or one["image"].endswith(":latest"):
                yield f"{one['name']} runs whatever {one['image']} is today"


def no_inline_secrets(it):
    """Nothing that is secret stands in a file: neither as a Secret nor as a setting."""
    if it["kind"] == "Secret":
        yield "is a Secret with its contents"
    text = {**it.get("data", {})}
    for pod in templates(it):
        for one in containers(pod):
            text |= {f"{one['name']}: {env['name']}": env.get("value", "") for env in one.get("env", [])}
    for name, value in text.items():
        if re.search(r"://[^/\s$]*:[^/\s$]+@", value) or (re.search(r"PASS|SECRET|TOKEN", name) and value):
            yield f"holds a password in {name}"


def grace(it):
    """What stops has the time for it."""
    for pod in templates(it):
        for one in containers(pod):
            pause = one.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            # The drain by default, and the last goodbyes.
            if pause and pod.get("terminationGracePeriodSeconds", 30) < pause + 10 + 2:
                yield f"{one['name']} is killed while it drains"


RULES = (restricted, read_only, no_token, resources, probes, images, no_inline_secrets, grace)


def complaints(it, but=()):
    """What is wrong with an object."""
    for rule in RULES:
        if rule not in but:
            for what in rule(it):
                yield f"{it['kind']} {it['metadata']['name']} {what} ({rule.__name__})"
