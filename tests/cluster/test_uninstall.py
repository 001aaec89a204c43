"""lastword is uninstalled while agents run, and installed in other ways: in another place, by Helm."""
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


@pytest.mark.kubernetes(1, 23)  # docs/upgrade.md: what Helm 4 checks and sends
@pytest.mark.uninstalls
def test_installed_by_helm(installed):
    """The server accepts all that the chart renders. An upgrade changes what its values change, while
    agents run. helm uninstall leaves the records; installed again, lastword goes on with them."""
    product.uninstall(installed)
    chart = product.MANIFESTS / "chart"
    rendered = product.helm(installed, "template", "lastword", chart, "-n", "default",
                            "--kube-version", installed.version_text.lstrip("v"))
    installed.kubectl("apply", "--dry-run=server", "-f", "-", text=rendered)
    place = ("-n", product.SYSTEM)
    product.helm(installed, "install", "lastword", chart, *place, "--create-namespace")
    for name in ("lastword-webhook", "lastword-observer"):
        product.wait_available(installed, name)
    product.wait_injecting(installed, drivers.INJECTED)
    driver = drivers.KubernetesDriver(installed)
    running = driver.make(agents.pod(agents.container(agents.WAITING)))
    running.wait_ready()
    waiting.wait_for_ring(running.pid(kube.OUR_CONTAINER))

    bundle = installed.get(product.CONFIGURATION)["webhooks"][0]["clientConfig"]["caBundle"]
    product.helm(installed, "upgrade", "lastword", chart, *place, values={
        "webhook": {"replicas": 1}, "watchdog": {"pullPolicy": "Never"}})
    product.wait_available(installed, "lastword-webhook")
    assert len(product.pods(installed, "lastword-webhook")) >= 1
    webhook, = installed.get(product.CONFIGURATION)["webhooks"]
    assert webhook["clientConfig"]["caBundle"] == bundle  # the webhook's, not the chart's
    agents.die(running.pid())
    driver.check_record(running, exitCode=5)

    product.helm(installed, "uninstall", "lastword", *place, "--wait")
    assert installed.find(product.CONFIGURATION) is None
    driver.check_record(running, exitCode=5)
    product.helm(installed, "install", "lastword", chart, *place)
    for name in ("lastword-webhook", "lastword-observer"):
        product.wait_available(installed, name)
    product.wait_injecting(installed, drivers.INJECTED)
    again = driver.make(agents.pod(agents.container("exit 9")))
    driver.check_record(again, exitCode=9)
    driver.check_record(running, exitCode=5)
    driver.clean()
    product.helm(installed, "uninstall", "lastword", *place, "--wait")
    installed.kubectl("delete", "crd", "agentexits.lastword.dev")
    installed.kubectl("delete", "namespace", product.SYSTEM)


@pytest.mark.uninstalls
def test_records_outlive_it(installed):
    """`kubectl delete -k` with the selector of docs/install.md leaves the records."""
    product.apply(installed, "overlays/self-signed")
    for name in ("lastword-webhook", "lastword-observer"):
        product.wait_available(installed, name)
    product.wait_injecting(installed, drivers.INJECTED)
    driver = drivers.KubernetesDriver(installed)
    pod = driver.make(agents.pod(agents.container("exit 6")))
    driver.check_record(pod, exitCode=6)
    product.uninstall(installed, more=("-l", "lastword.dev/keep!=true"))
    for path in (product.CONFIGURATION, f"/api/v1/namespaces/{product.SYSTEM}"):
        kube.wait_until(lambda: installed.find(path) is None, f"{path} is gone")
    driver.check_record(pod, exitCode=6)
    product.uninstall(installed)
    kube.wait_until(lambda: installed.find("/apis/lastword.dev/v1alpha1") is None, "the CRD is gone")
    driver.clean()
