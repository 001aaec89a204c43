"""lastword's commands that read a cluster, with the real kubectl and API server."""
import json
import subprocess

import pytest

import agents
import drivers
import kube
import product


@pytest.fixture
def lastword(installed):
    # A rollout by an earlier test may be under way, with a replica too many.
    product.wait_available(installed, "lastword-webhook")
    product.wait_available(installed, "lastword-observer")
    product.wait_injecting(installed, drivers.INJECTED)

    def run(*arguments):
        done = subprocess.run([product.BUILD / "bin/lastword", *arguments], capture_output=True,
                              text=True, timeout=120, env=installed.environment)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout
    return run


def test_status(lastword):
    text = lastword("status")
    assert "ok       a pod as a dry run in" in text
    assert "CRD agentexits.lastword.dev: established" in text
    assert text.count("certificate of lastword-webhook-") == 2  # the tests' own are short-lived
    assert " leads, its watch made progress " in text


def test_a_silent_pod_from_scan_to_why(lastword, installed):
    """Seen without a record first, then with one."""
    driver = drivers.KubernetesDriver(installed)
    pod = driver.make(agents.pod(agents.container("echo 'fatal: the model is gone' >&2; exit 5"),
                                 agents.container("sleep 600", name="helper")))
    path = f"/api/v1/namespaces/{drivers.INJECTED}/pods/{pod.name}"
    uid = installed.get(path)["metadata"]["uid"]

    def recorded():
        return kube.records(installed, drivers.INJECTED, uid)
    kube.wait_until(recorded, "its record")
    assert pod.name in lastword("scan", "-n", drivers.INJECTED)
    kube.wait_until(lambda: "Silent now: 0" not in lastword("scan", "-n", drivers.INJECTED),
                    "scan sees the silent pod")
    assert pod.name in lastword("exits", "-n", drivers.INJECTED, "-o", "name")
    shown = lastword("why", pod.name[:-1], "-n", drivers.INJECTED)
    assert f"Pod:          {pod.name}\n" in shown and "fatal: the model is gone" in shown
    groups = json.loads(lastword("groups", "-n", drivers.INJECTED, "-o", "json"))["groups"]
    fingerprint = recorded()[0]["spec"]["fingerprint"]
    assert fingerprint in [group["fingerprint"] for group in groups]
    driver.clean()
