"""Silence and resolution on a real node: an agent that fails while another container runs on, one
whose helper ends a moment later, and a later run of the same agent that succeeds."""
import datetime

import pytest

import agents
import drivers
import kube
import product

FAILING = "echo ready; echo 'fatal: the model is gone' >&2; exit 101"
SHARED = {"volumes": [{"name": "shared", "emptyDir": {}}]}
MOUNT = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
# As Argo's: it waits for main, saves its output, and ends.
WAIT = {"name": "wait", "image": product.AGENT, **MOUNT,
        "command": ["sh", "-c", "while [ ! -e /shared/done ]; do sleep 0.1; done; sleep 3"]}


@pytest.fixture
def driver(installed):
    made = drivers.KubernetesDriver(installed)
    product.wait_injecting(installed, drivers.INJECTED)
    yield made
    made.clean()


def record(driver, pod):
    return next(iter(kube.records(driver.cluster, pod.namespace, pod.pod["metadata"]["uid"])), None)


def silent(driver, pod):
    """The condition Silent of the pod's record."""
    conditions = (record(driver, pod) or {}).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Silent"), None)


def wait_silent(driver, pod, status):
    return kube.wait_until(
        lambda: (silent(driver, pod) or {}).get("status") == status and silent(driver, pod),
        lambda: f"the condition {status}: {record(driver, pod)}")


def seconds_between(begin, end):
    parsed = [datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S") for text in (begin, end)]
    return (parsed[1] - parsed[0]).total_seconds()


def events(driver, pod):
    found = driver.cluster.get(f"/api/v1/namespaces/{pod.namespace}/events")["items"]
    return {event["reason"]: event for event in found
            if event["involvedObject"].get("uid") == pod.pod["metadata"]["uid"]}


def shown(driver, pod):
    """What kubectl get ax prints about the pod in the column SILENT."""
    table = driver.cluster.kubectl("get", "ax", "-n", pod.namespace).splitlines()
    begin, end = table[0].index("SILENT"), table[0].index("SUMMARY")
    line, = (line for line in table if line.startswith(pod.name + " "))
    return line[begin:end].strip()


def test_a_sidecar_runs_on_and_a_helper_does_not(driver, figures):
    """One pod is silent until it is deleted; the other one never is, though it failed earlier."""
    short = driver.make(agents.pod(
        agents.container("sleep 1; touch /shared/done; exit 1", **MOUNT), WAIT, **SHARED))
    short.wait_phase("Failed")
    seed = driver.make(agents.pod(agents.container(FAILING), agents.SIDECAR))
    assert seed.wait_end() == (101, "Error")
    driver.check_record(seed, exitCode=101, runningContainers=["proxy"], final=True)
    assert silent(driver, seed) is None
    condition = wait_silent(driver, seed, "True")
    assert seed.phase == "Running" and condition["reason"] == "OtherContainersRun"
    finished = record(driver, seed)["spec"]["finishedAt"]
    assert seconds_between(finished, condition["lastTransitionTime"]) == 30
    event = events(driver, seed)["SilentAgentExit"]
    after = seconds_between(finished, event["firstTimestamp"])
    assert after >= 31
    figures(f"silence: confirmed {after:.0f} s after the failure")
    assert "container main, run 0: exit 101: fatal: the model is gone" in event["message"]
    assert shown(driver, seed) == "True"

    # Longer ago than the other one's failure.
    driver.check_record(short, exitCode=1, runningContainers=["wait"], final=True)
    assert silent(driver, short) is None and "SilentAgentExit" not in events(driver, short)
    assert shown(driver, short) == ""

    seed.delete(1)
    over = wait_silent(driver, seed, "False")
    assert over["reason"] in ("PodEnded", "PodGone")
    assert over["message"].startswith("the pod was silent for ")
    assert shown(driver, seed) == "False"


def test_observers_are_killed_while_a_pod_is_silent(driver, installed):
    """Whoever comes next knows it from the pod and the record alone."""
    seed = driver.make(agents.pod(agents.container(FAILING), agents.SIDECAR))
    wait_silent(driver, seed, "True")
    for pod in product.pods(installed, "lastword-observer"):
        installed.delete(f"/api/v1/namespaces/{product.SYSTEM}/pods/{pod['metadata']['name']}", 0)
    seed.delete(1)
    seed.gone.wait(kube.HANG)
    wait_silent(driver, seed, "False")
    product.wait_available(installed, "lastword-observer")


def run_job(driver, name, script):
    template = agents.pod(agents.container(script), labels={"task-id": "nightly"})
    driver.cluster.create(f"/apis/batch/v1/namespaces/{drivers.INJECTED}/jobs",
                          agents.job(name, template, backoffLimit=0))
    path = f"/api/v1/namespaces/{drivers.INJECTED}/pods?labelSelector=job-name%3D{name}"
    pod = kube.KubernetesPod(driver.cluster, kube.wait_until(
        lambda: driver.cluster.get(path)["items"], f"the pod of {name}")[0])
    driver.pods.append(pod)
    return pod


def test_a_later_success_resolves(driver):
    jobs = f"/apis/batch/v1/namespaces/{drivers.INJECTED}/jobs"
    try:
        failed = run_job(driver, "nightly-28412345", FAILING)
        driver.check_record(failed, exitCode=101)
        assert "resolvedAt" not in record(driver, failed).get("status", {})
        run_job(driver, "nightly-28412346", "exit 0").wait_phase("Succeeded")
        resolved = kube.wait_until(
            lambda: record(driver, failed).get("status", {}).get("resolvedAt"), "its resolution")
        assert resolved > record(driver, failed)["spec"]["finishedAt"]
    finally:
        for name in ("nightly-28412345", "nightly-28412346"):
            driver.cluster.delete(f"{jobs}/{name}")
