"""The whole story on a real node, with a real Alertmanager beside it: an agent dies in silence, an alert
fires, the mended agent succeeds, the alerts are resolved, and nothing new comes."""
import pathlib
import sys
import time

import pytest
import yaml

import agents
import drivers
import kube
import node
import product

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "monitoring"))
from servers import Alertmanager, Notified  # noqa: E402

FAILED, SILENT = "LastwordAgentFailed", "LastwordAgentSilent"
CONFIG = f"/api/v1/namespaces/{product.SYSTEM}/configmaps/lastword-observer"
RECORDS = f"/apis/lastword.dev/v1alpha1/namespaces/{drivers.INJECTED}/agentexits"
JOBS = f"/apis/batch/v1/namespaces/{drivers.INJECTED}/jobs"
BROKEN = "echo 'thread main panicked at src/main.rs:4:5: index out of bounds' >&2; exit 101"


def set_receivers(cluster, receivers):
    """New observers read them at once; the kubelet takes a minute to bring a new file to the old."""
    config = {"apiVersion": "lastword.dev/v1alpha1", "kind": "ObserverConfig", "receivers": receivers}
    cluster.patch(CONFIG, {"data": {"config.yaml": yaml.safe_dump(config)}})
    for pod in product.pods(cluster, "lastword-observer"):
        cluster.delete(f"/api/v1/namespaces/{product.SYSTEM}/pods/{pod['metadata']['name']}", 0)
    product.wait_available(cluster, "lastword-observer")


@pytest.fixture
def notified(installed, tmp_path):
    """Whom Alertmanager notifies; it is on the node, where pods reach it."""
    people = Notified()
    alertmanager = Alertmanager(tmp_path, people.url, host=node.SERVICE_ADDRESS)
    receiver = {"type": "alertmanager", "url": f"http://{alertmanager.address}/api/v2/alerts"}
    set_receivers(installed, [{"name": "failed", **receiver},
                              {"name": "silent", "filter": {"silentOnly": True}, **receiver}])
    people.alertmanager = alertmanager
    yield people
    set_receivers(installed, [])
    alertmanager.stop()
    people.stop()


def run_coder(cluster, name, script):
    """As workflow engines do: each run a Job of its own, of one family."""
    template = agents.pod(agents.container(script), agents.SIDECAR, labels={"task-id": "fix-42"},
                          grace=1)
    cluster.create(JOBS, agents.job(name, template, backoffLimit=0))


def alerts(notified, name, namespace, status):
    return [alert for message in notified.about(name) for alert in message["alerts"]
            if alert["status"] == status and alert["labels"]["namespace"] == namespace]


def test_from_a_silent_exit_to_all_is_well(installed, notified):
    product.wait_injecting(installed, drivers.INJECTED)

    def seen(name, status):
        return alerts(notified, name, drivers.INJECTED, status)

    def wait(name, status):
        return kube.wait_until(lambda: seen(name, status),
                               lambda: f"{name} {status}: {notified.messages}")

    run_coder(installed, "coder-28412345", BROKEN)
    failed = wait(FAILED, "firing")[0]
    assert "index out of bounds" in failed["annotations"]["snippet"]
    silent = wait(SILENT, "firing")[0]
    pod = silent["annotations"]["pod"]
    assert silent["labels"]["severity"] == "critical"
    assert silent["annotations"]["command"] == f"kubectl lastword why -n {drivers.INJECTED} {pod}"
    assert installed.get(f"/api/v1/namespaces/{drivers.INJECTED}/pods/{pod.split('/')[-1]}")[
        "status"]["phase"] == "Running"
    before = {item["metadata"]["name"] for item in installed.get(RECORDS)["items"]}

    # Mended: the next run succeeds, and the silent pod is cleared away.
    run_coder(installed, "coder-28412346", "echo mended; exit 0")
    wait(FAILED, "resolved")
    installed.kubectl("delete", "job", "-n", drivers.INJECTED, "coder-28412345", "coder-28412346")
    wait(SILENT, "resolved")

    count = len(notified.messages)
    time.sleep(5)
    assert {item["metadata"]["name"] for item in installed.get(RECORDS)["items"]} <= before
    assert not [alert for message in notified.messages[count:] for alert in message["alerts"]
                if alert["status"] == "firing"
                and alert["labels"]["namespace"] == drivers.INJECTED]
