"""An installation in another namespace, with images of another registry: kustomize's own `namespace:`
and `images:` reach all that depends on either."""
import os

import pytest
import tools
import yaml
from webhook_process import ROOT

MOVED = "watch-tower"
SERVERS = "registry.example.com/mirror/servers:9"
WATCHDOG = "registry.example.com/mirror/watchdog@sha256:" + "a" * 64


def render(folder, overlay):
    """An admin's own kustomization over one of ours."""
    os.symlink(ROOT / "manifests", folder / "manifests")
    (folder / "mine").mkdir()
    (folder / "mine/kustomization.yaml").write_text(yaml.safe_dump({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "namespace": MOVED, "resources": [f"../manifests/{overlay}"],
        "images": [
            {"name": "ghcr.io/lastword/lastword", "newName": SERVERS.split(":")[0], "newTag": "9"},
            {"name": "ghcr.io/lastword/lastword-watchdog", "newName": WATCHDOG.split("@")[0],
             "digest": WATCHDOG.split("@")[1]}]}))
    return list(yaml.safe_load_all(tools.kustomize(folder / "mine")))


def texts(value, path=()):
    """(path, text) of every text in an object."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, path)
    elif isinstance(value, str):
        yield path, value


@pytest.mark.parametrize("overlay", ["base", "overlays/self-signed", "overlays/hardened"])
def test_nothing_stays_behind(tmp_path, overlay):
    objects = render(tmp_path, overlay)
    images = set()
    for manifest in objects:
        for path, text in texts(manifest):
            if manifest["kind"] == "ConfigMap" and path[0] == "data":
                continue  # the configuration: it names neither
            assert "ghcr.io" not in text, path
            # The selector still leaves out a namespace of the shipped name; ours has a label.
            assert "lastword-system" not in text or \
                path == ("webhooks", "namespaceSelector", "matchExpressions", "values"), path
            if path[-1] == "image" or text.startswith("registry."):
                images.add(text)
        if "namespace" in manifest["metadata"]:
            assert manifest["metadata"]["namespace"] == MOVED
    assert images == {SERVERS, WATCHDOG}


def test_flags_follow(tmp_path):
    """The namespace comes from the downward API, the sidecar's image from the environment."""
    for manifest in render(tmp_path, "overlays/self-signed"):
        if manifest["kind"] != "Deployment":
            continue
        container, = manifest["spec"]["template"]["spec"]["containers"]
        variables = {one["name"]: one for one in container["env"]}
        assert "--namespace=$(POD_NAMESPACE)" in container["args"]
        field = variables["POD_NAMESPACE"]["valueFrom"]["fieldRef"]["fieldPath"]
        assert field == "metadata.namespace"
        if container["name"] == "webhook":
            assert "--watchdog-image=$(WATCHDOG_IMAGE)" in container["args"]
            assert variables["WATCHDOG_IMAGE"]["value"] == WATCHDOG


def test_the_webhook_is_not_called_for_its_own_pods(tmp_path):
    objects = {one["kind"]: one for one in render(tmp_path, "overlays/self-signed")}
    assert objects["Namespace"]["metadata"]["name"] == MOVED
    label, = (key for key in objects["Namespace"]["metadata"]["labels"] if key == "lastword.dev/system")
    for webhook in objects["MutatingWebhookConfiguration"]["webhooks"]:
        assert {"key": label, "operator": "DoesNotExist"} in \
            webhook["namespaceSelector"]["matchExpressions"]
        assert webhook["clientConfig"]["service"]["namespace"] == MOVED
