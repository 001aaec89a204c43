"""lastword is uninstalled while agents run, and installed in another place."""
import json

import agents
import drivers
import kube
import product
import waiting

import pytest


@pytest.mark.uninstalls
def test_agents_outlive_it(installed):
    driver = drivers.KubernetesDriver(installed)
    pod = driver.make(agents.pod(agents.container(agents.WAITING)))
    pod.wait_ready()
    waiting.wait_for_ring(pod.pid(kube.OUR_CONTAINER))
    product.uninstall(installed)
    for path in (product.CONFIGURATION, f"/api/v1/namespaces/{product.SYSTEM}",
                 "/apis/lastword.dev/v1alpha1"):
        kube.wait_until(lambda: installed.find(path) is None, f"{path} is gone")
    late = installed.create(f"/api/v1/namespaces/{drivers.INJECTED}/pods?dryRun=All",
                            agents.pod(agents.container("true")))
    assert late["spec"]["containers"][0]["command"] == ["sh", "-c", "true"]
    agents.die(pod.pid())
    assert pod.wait_line("end")["exit_code"] == 5
    assert pod.wait_end() == (5, "Error")
    driver.clean()


@pytest.mark.uninstalls
def test_installed_elsewhere(installed, monkeypatch, tmp_path):
    """In another namespace, with images of another registry: only an admin's own kustomization."""
    product.uninstall(installed)
    monkeypatch.setattr(product, "SYSTEM", "watch-tower")
    moved = {name: f"registry.invalid/mirror/{stage}:9" for stage, name in product.SHIPPED.items()}
    product.name_images(moved)
    (tmp_path / "manifests").symlink_to(product.MANIFESTS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/kustomization.yaml").write_text(json.dumps({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "namespace": product.SYSTEM, "resources": ["../manifests/overlays/self-signed"],
        "images": [{"name": name.rsplit(":", 1)[0], "newName": to.rsplit(":", 1)[0], "newTag": "9"}
                   for name, to in moved.items()]}))
    product.apply(installed, tmp_path / "mine")
    for name in ("lastword-webhook", "lastword-observer"):
        product.wait_available(installed, name)
    product.wait_injecting(installed, drivers.INJECTED)
    driver = drivers.KubernetesDriver(installed)
    pod = driver.make(agents.pod(agents.container("exit 7")))
    driver.check_record(pod, exitCode=7)
    images = {one["name"]: one["image"] for kind in ("containers", "initContainers")
              for one in pod.pod["spec"].get(kind) or []}
    assert images[kube.OUR_CONTAINER] == moved[product.SHIPPED["watchdog"]]
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{product.SYSTEM}/leases/lastword-observer"
    assert installed.get(leases)["spec"]["holderIdentity"]
    driver.clean()
    product.uninstall(installed, tmp_path / "mine")
