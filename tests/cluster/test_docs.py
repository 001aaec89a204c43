"""The commands of docs/ that need a cluster, with lastword installed and a pod that failed in silence.
Those that install lastword or remove it are in test_readme.py."""
import pytest

import agents
import documents
import drivers
import kube
import product
import reader as reader_module

COMMANDS = [one for one in documents.commands("cluster") if one.document != "README.md" or one.shown]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def crd(kind, plural):
    """Stands for the Prometheus Operator's, which has these kinds."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.monitoring.coreos.com"},
            "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
                     "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                     "versions": [{"name": "v1", "served": True, "storage": True,
                                   "schema": {"openAPIV3Schema": schema}}]}}


@pytest.fixture(scope="module")
def prometheus_operator(installed):
    made = [crd("PodMonitor", "podmonitors"), crd("PrometheusRule", "prometheusrules")]
    for one in made:
        installed.create(CRDS, one)

    def served():
        return all(installed.find(f"/apis/monitoring.coreos.com/v1/{one['spec']['names']['plural']}")
                   for one in made)
    kube.wait_until(served, "the CRDs of the Prometheus Operator")
    yield
    for one in made:
        installed.delete(f"{CRDS}/{one['metadata']['name']}")


@pytest.fixture(scope="module")
def reader(installed, prometheus_operator, tmp_path_factory):
    product.wait_injecting(installed, drivers.INJECTED)
    driver = drivers.KubernetesDriver(installed)
    manifest = agents.pod(
        agents.container("echo \"thread 'main' panicked at src/stage.rs:214:18:\" >&2; exit 101"),
        agents.container("sleep 600", name="proxy"), labels={"agent": "coder"}, grace=1)
    manifest["metadata"]["name"] = documents.PLACEHOLDERS["POD"]
    pod = driver.make(manifest)

    def silent():
        return [one for one in kube.records(installed, drivers.INJECTED, pod.pod["metadata"]["uid"])
                if one.get("status", {}).get("conditions")]
    kube.wait_until(silent, "the record with the condition Silent")
    made = reader_module.Reader(installed, tmp_path_factory.mktemp("reader"), drivers.INJECTED)
    made.type(documents.Command("", 0, "kubectl apply -k manifests/monitoring"))
    yield made
    made.type(documents.Command("", 0, "kubectl delete -k manifests/monitoring"))
    for path in (f"/api/v1/namespaces/{product.SYSTEM}/secrets/lastword-receivers",
                 f"/apis/batch/v1/namespaces/{drivers.INJECTED}/jobs/reader"):
        installed.delete(path)
    driver.clean()


@pytest.mark.parametrize("document", sorted({one.document for one in COMMANDS}))
def test_commands_of(document, reader):
    wrong = []
    for command in COMMANDS:
        if command.document == document:
            printed, failure = reader.type(command)
            # status says 1 where something is wrong: that it says so is all that is asked here.
            if failure and not (" status" in command.text and "API server" in printed):
                wrong.append(failure)
    assert not wrong, "\n".join(wrong)
