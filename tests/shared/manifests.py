"""The manifests as kubectl and helm render them."""
import yaml

import tools

MANIFESTS = tools.ROOT / "manifests"
SYSTEM = "lastword-system"
# What the chart adds to every object.
HELM_LABELS = ("app.kubernetes.io/managed-by", "app.kubernetes.io/instance",
               "app.kubernetes.io/part-of", "app.kubernetes.io/version", "helm.sh/chart")
# The values with which the chart renders what an overlay is.
CHART_VALUES = {
    "base": {"certificates": {"mode": "files"}},
    "overlays/self-signed": {},
    "overlays/hardened": {"networkPolicy": {"enabled": True}, "admissionPolicy": {"enabled": True}},
    "overlays/cert-manager": {"certificates": {"mode": "cert-manager"}},
    "overlays/fail-pod": {"failPod": {"enabled": True}},
    "overlays/monitoring": {"monitoring": {"enabled": True}},
    "overlays/namespaced": {"observer": {"namespaces": ["agents"]}},
}
EVERY_VALUE = yaml.safe_load((tools.ROOT / "tests/data/chart/every-value.yaml").read_text())


def objects(text):
    """{(kind, name): object}; (kind, name, namespace) of what is in a namespace other than ours."""
    found = {}
    for manifest in yaml.safe_load_all(text):
        if manifest is None:
            continue
        key = manifest["kind"], manifest["metadata"]["name"]
        if manifest["metadata"].get("namespace", SYSTEM) != SYSTEM:
            key = (*key, manifest["metadata"]["namespace"])
        assert key not in found, f"{key} stands twice"
        found[key] = manifest
    return found


def kustomize(folder):
    return objects(tools.kustomize(MANIFESTS / folder))


def helm(*arguments, values=None, namespace=SYSTEM, version="1.36.0"):
    """`helm template` of the chart."""
    more = ["-f", "-"] if values is not None else []
    return objects(tools.run("helm", "template", "lastword", MANIFESTS / "chart", "-n", namespace,
                             "--kube-version", version, *more, *arguments,
                             input=None if values is None else yaml.safe_dump(values)))


def without_helm(found):
    """The same without what only Helm's users need."""
    for manifest in found.values():
        labels = manifest["metadata"].get("labels", {})
        for label in HELM_LABELS:
            assert labels.pop(label), label
        if not labels:
            del manifest["metadata"]["labels"]
        annotations = manifest["metadata"].get("annotations", {})
        annotations.pop("helm.sh/resource-policy", None)
        if not annotations:
            manifest["metadata"].pop("annotations", None)
    return found
