"""lastword is uninstalled while agents run, and installed in other ways: in another place, by Helm, with
cert-manager's certificates."""
import json
import ssl

import agents
import cert_manager
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


def kustomize_elsewhere(cluster, folder, images):
    """An admin's own kustomization. Returns what removes it."""
    (folder / "manifests").symlink_to(product.MANIFESTS)
    (folder / "mine").mkdir()
    (folder / "mine/kustomization.yaml").write_text(json.dumps({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "namespace": product.SYSTEM, "resources": ["../manifests/overlays/self-signed"],
        "images": [{"name": name.rsplit(":", 1)[0], "newName": to.rsplit(":", 1)[0], "newTag": "9"}
                   for name, to in images.items()]}))
    product.apply_kustomization(cluster, folder / "mine")
    return lambda: product.delete_kustomization(cluster, folder / "mine")


def helm_elsewhere(cluster, _, images):
    servers, watchdog = ({"repository": images[product.SHIPPED[stage]].rsplit(":", 1)[0], "tag": "9"}
                         for stage in ("servers", "watchdog"))
    product.apply_chart(cluster, {"image": servers, "watchdog": {"image": watchdog}})
    return lambda: remove_release(cluster)


def remove_release(cluster):
    """And nothing but what docs/install.md names is left then."""
    rendered = product.render_chart(cluster, {})
    product.helm(cluster, "uninstall", "lastword", "-n", product.SYSTEM, "--wait")
    left = cluster.kubectl("get", "--ignore-not-found", "-o", "name", "-f", "-", text=rendered)
    assert left.split() == ["customresourcedefinition.apiextensions.k8s.io/agentexits.lastword.dev"]
    cluster.kubectl("delete", "crd", "agentexits.lastword.dev")
    cluster.kubectl("delete", "namespace", product.SYSTEM)


@pytest.mark.uninstalls
@pytest.mark.parametrize("install", [
    kustomize_elsewhere, pytest.param(helm_elsewhere, marks=pytest.mark.kubernetes(1, 23))])
def test_installed_elsewhere(installed, monkeypatch, tmp_path, install):
    """In another namespace, with images of another registry: only what an admin writes himself."""
    product.uninstall(installed)
    monkeypatch.setattr(product, "SYSTEM", "watch-tower")
    moved = {name: f"registry.invalid/mirror/{stage}:9" for stage, name in product.SHIPPED.items()}
    product.name_images(moved)
    uninstall = install(installed, tmp_path, moved)
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
    uninstall()


OLD = "0.0.9"
NEW = product.SHIPPED["servers"].rsplit(":", 1)[1]


def wait_agent(driver):
    """A pod that waits, with its watchdog ready to see its end."""
    pod = driver.make(agents.pod(agents.container(agents.WAITING)))
    pod.wait_ready()
    waiting.wait_for_ring(pod.pid(kube.OUR_CONTAINER))
    return pod


def check_end(driver, pod, watchdog, observer):
    """It ends; its watchdog's report, and the observer's record, are of these versions."""
    agents.die(pod.pid())
    driver.check_record(pod, exitCode=5, version=observer, source="watchdog")
    assert pod.wait_line("end")["version"] == watchdog


@pytest.mark.kubernetes(1, 23)  # docs/upgrade.md: what Helm 4 checks and sends
@pytest.mark.uninstalls
def test_installed_by_helm(installed):
    """An upgrade from another version, and the way back, while agents run: the end of each has its
    record. helm uninstall leaves the records; installed again, lastword goes on with them."""
    product.uninstall(installed)
    product.import_other_version(OLD)
    driver = drivers.KubernetesDriver(installed)

    def wait_rolled_out(version):
        for name in ("lastword-webhook", "lastword-observer"):
            product.wait_available(installed, name)
            kube.wait_until(lambda: {pod["spec"]["containers"][0]["image"].rsplit(":", 1)[1]
                                     for pod in product.pods(installed, name)} == {version},
                            f"{name} of {version} and no other")
        product.wait_injecting(installed, drivers.INJECTED)

    product.apply_chart(installed, {"image": {"tag": OLD}, "watchdog": {"image": {"tag": OLD}}})
    wait_rolled_out(OLD)
    of_old, staying = wait_agent(driver), wait_agent(driver)
    bundle = installed.get(product.CONFIGURATION)["webhooks"][0]["clientConfig"]["caBundle"]
    product.apply_chart(installed, {"webhook": {"replicas": 1}})
    wait_rolled_out(NEW)
    webhook, = installed.get(product.CONFIGURATION)["webhooks"]
    assert webhook["clientConfig"]["caBundle"] == bundle  # the webhook's, not the chart's
    assert product.deployment(installed, "lastword-webhook")["spec"]["replicas"] == 1
    check_end(driver, of_old, OLD, NEW)
    of_new = wait_agent(driver)
    product.helm(installed, "rollback", "lastword", "-n", product.SYSTEM)
    wait_rolled_out(OLD)
    check_end(driver, of_new, NEW, OLD)
    check_end(driver, staying, OLD, OLD)

    product.helm(installed, "uninstall", "lastword", "-n", product.SYSTEM, "--wait")
    assert installed.find(product.CONFIGURATION) is None
    driver.check_record(of_new, exitCode=5)
    product.apply_chart(installed, {})
    wait_rolled_out(NEW)
    again = driver.make(agents.pod(agents.container("exit 9")))
    driver.check_record(again, exitCode=9)
    driver.check_record(of_new, exitCode=5)
    driver.clean()
    remove_release(installed)


def served(cluster):
    """The certificates that the replicas serve."""
    return {ssl.get_server_certificate((pod["status"]["podIP"], 8443))
            for pod in product.current_pods(cluster, "lastword-webhook")}


def read_again(cluster):
    """A change of a pod makes the kubelet look at its Secrets at once, not within a minute."""
    for pod in product.pods(cluster, "lastword-webhook"):
        cluster.patch(f"/api/v1/namespaces/{product.SYSTEM}/pods/{pod['metadata']['name']}",
                      {"metadata": {"annotations": {"lastword.dev/test": "again"}}})


@pytest.mark.uninstalls
def test_installed_with_cert_manager(installed):
    """cert-manager issues the certificate and cainjector publishes its CA. A renewed one is served without
    a restart, and meanwhile every pod is injected."""
    product.uninstall(installed)
    with cert_manager.CertManager(installed) as manager:
        product.apply(installed, "overlays/cert-manager")
        kube.wait_until(manager.reconcile, "the certificates are issued")
        for name in ("lastword-webhook", "lastword-observer"):
            product.wait_available(installed, name)
        product.wait_injecting(installed, drivers.INJECTED)
        first, = served(installed)
        driver = drivers.KubernetesDriver(installed)
        driver.check_record(driver.make(agents.pod(agents.container("exit 4"))), exitCode=4)

        # The CA is renewed, then the certificate; until the kubelet brings that, the old one is served.
        bundle = installed.get(product.CONFIGURATION)["webhooks"][0]["clientConfig"]["caBundle"]
        for renewed in ("lastword-ca", "lastword-webhook"):
            assert manager.reconcile(renew=[renewed])
        webhook, = installed.get(product.CONFIGURATION)["webhooks"]
        assert webhook["clientConfig"]["caBundle"] != bundle
        manifest = agents.pod(agents.container("true"))
        path = f"/api/v1/namespaces/{drivers.INJECTED}/pods?dryRun=All"

        def renewed_is_served():
            assert installed.create(path, manifest)["metadata"]["labels"]["lastword.dev/injected"]
            return len(served(installed)) == 1 and served(installed) != {first}
        read_again(installed)
        kube.wait_until(renewed_is_served, "the renewed certificate is served")
        restarts = [kube.status_of(pod, "webhook")["restartCount"]
                    for pod in product.pods(installed, "lastword-webhook")]
        assert restarts == [0, 0]
        driver.check_record(driver.make(agents.pod(agents.container("exit 6"))), exitCode=6)
        driver.clean()
        product.uninstall(installed)


def status_as_the_observer(cluster, path):
    connection = cluster.connect()
    connection.request("GET", path, headers={
        "Impersonate-User": f"system:serviceaccount:{product.SYSTEM}:lastword-observer"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


@pytest.mark.uninstalls
def test_an_observer_for_one_namespace(installed):
    """By RoleBindings in that namespace it does there what it does otherwise, and can read no other."""
    product.uninstall(installed)
    product.apply(installed, "overlays/namespaced")
    for name in ("lastword-webhook", "lastword-observer"):
        product.wait_available(installed, name)
    product.wait_injecting(installed, drivers.INJECTED)
    driver = drivers.KubernetesDriver(installed)
    driver.check_record(driver.make(agents.pod(agents.container("exit 8"))), exitCode=8)
    assert status_as_the_observer(installed, f"/api/v1/namespaces/{drivers.INJECTED}/pods") == 200
    for path in ("/api/v1/pods", f"/api/v1/namespaces/{drivers.PLAIN}/pods"):
        assert status_as_the_observer(installed, path) == 403
    driver.clean()
    product.uninstall(installed)
    installed.delete(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{drivers.INJECTED}/rolebindings/"
                     "lastword-observer")


@pytest.mark.uninstalls
def test_records_outlive_it(installed):
    """Uninstalled as docs/install.md says, it leaves the records."""
    product.apply(installed)
    for name in ("lastword-webhook", "lastword-observer"):
        product.wait_available(installed, name)
    product.wait_injecting(installed, drivers.INJECTED)
    driver = drivers.KubernetesDriver(installed)
    pod = driver.make(agents.pod(agents.container("exit 6")))
    driver.check_record(pod, exitCode=6)
    product.uninstall(installed, keep_records=True)
    for path in (product.CONFIGURATION, f"/api/v1/namespaces/{product.SYSTEM}"):
        kube.wait_until(lambda: installed.find(path) is None, f"{path} is gone")
    driver.check_record(pod, exitCode=6)
    product.uninstall(installed)
    kube.wait_until(lambda: installed.find("/apis/lastword.dev/v1alpha1") is None, "the CRD is gone")
    driver.clean()
