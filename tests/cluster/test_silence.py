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
def kubernetes(installed):
    made = drivers.KubernetesDriver(installed)
    product.wait_injecting(installed, drivers.INJECTED)
    yield made
    made.clean()


def record(kubernetes, pod):
    uid = pod.pod["metadata"]["uid"]
    return next(iter(kube.records(kubernetes.cluster, pod.namespace, uid)), None)


def silent(kubernetes, pod):
    """The condition Silent of the pod's record."""
    conditions = (record(kubernetes, pod) or {}).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Silent"), None)


def wait_silent(kubernetes, pod, status):
    return kube.wait_until(
        lambda: (silent(kubernetes, pod) or {}).get("status") == status and silent(kubernetes, pod),
        lambda: f"the condition {status}: {record(kubernetes, pod)}")


def seconds_between(begin, end):
    parsed = [datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S") for text in (begin, end)]
    return (parsed[1] - parsed[0]).total_seconds()


def events(kubernetes, pod):
    found = kubernetes.cluster.get(f"/api/v1/namespaces/{pod.namespace}/events")["items"]
    return {event["reason"]: event for event in found
            if event["involvedObject"].get("uid") == pod.pod["metadata"]["uid"]}


def shown(kubernetes, pod):
    """What kubectl get ax prints about the pod in the column SILENT."""
    kubernetes.cluster.kubectl("api-resources", "--api-group=lastword.dev")  # not those of before
    table = kubernetes.cluster.kubectl("get", "ax", "-n", pod.namespace).splitlines()
    begin, end = table[0].index("SILENT"), table[0].index("SUMMARY")
    line, = (line for line in table if line.startswith(pod.name + "."))
    return line[begin:end].strip()


def test_a_sidecar_runs_on_and_a_helper_does_not(kubernetes, figures):
    """One pod is silent until it is deleted; the other one never is, though it failed earlier."""
    short = kubernetes.make(agents.pod(
        agents.container("sleep 1; touch /shared/done; exit 1", **MOUNT), WAIT, **SHARED))
    short.wait_phase("Failed")
    seed = kubernetes.make(agents.pod(agents.container(FAILING), agents.SIDECAR))
    assert seed.wait_end() == (101, "Error")
    kubernetes.check_record(seed, exitCode=101, runningContainers=["proxy"], final=True)
    assert silent(kubernetes, seed) is None
    condition = wait_silent(kubernetes, seed, "True")
    assert seed.phase == "Running" and condition["reason"] == "OtherContainersRun"
    finished = record(kubernetes, seed)["spec"]["finishedAt"]
    assert seconds_between(finished, condition["lastTransitionTime"]) == 30
    event = events(kubernetes, seed)["SilentAgentExit"]
    after = seconds_between(finished, event["firstTimestamp"])
    assert after >= 31
    figures(f"silence: {after:.0f} s from the failure to the Event (in whole seconds)")
    assert "container main, run 0: exit 101: fatal: the model is gone" in event["message"]
    assert shown(kubernetes, seed) == "True"

    # Longer ago than the other one's failure.
    kubernetes.check_record(short, exitCode=1, runningContainers=["wait"], final=True)
    assert silent(kubernetes, short) is None and "SilentAgentExit" not in events(kubernetes, short)
    assert shown(kubernetes, short) == ""

    seed.delete(1)
    over = wait_silent(kubernetes, seed, "False")
    assert over["reason"] in ("PodEnded", "PodGone")
    assert over["message"].startswith("the pod was silent for ")
    assert shown(kubernetes, seed) == "False"


def kill_observers(installed):
    for pod in product.pods(installed, "lastword-observer"):
        installed.delete(f"/api/v1/namespaces/{product.SYSTEM}/pods/{pod['metadata']['name']}", 0)


def test_observers_are_killed_while_a_silent_pod_goes(kubernetes, installed):
    """Those that come then find it as far gone as it happens to be: with its sidecar, without, or not
    any more."""
    seed = kubernetes.make(agents.pod(agents.container(FAILING), agents.SIDECAR))
    wait_silent(kubernetes, seed, "True")
    kill_observers(installed)
    seed.delete(1)
    wait_silent(kubernetes, seed, "False")
    product.wait_available(installed, "lastword-observer")


def test_no_observer_runs_while_a_silent_pod_goes(kubernetes, installed):
    """Whoever comes next knows it from the record alone."""
    seed = kubernetes.make(agents.pod(agents.container(FAILING), agents.SIDECAR))
    wait_silent(kubernetes, seed, "True")
    observer = f"/apis/apps/v1/namespaces/{product.SYSTEM}/deployments/lastword-observer"
    replicas = installed.get(observer)["spec"]["replicas"]
    installed.patch(observer, {"spec": {"replicas": 0}})
    try:
        kill_observers(installed)
        kube.wait_until(lambda: not product.pods(installed, "lastword-observer"), "no observer")
        seed.delete(1)
        seed.gone.wait(kube.HANG)
    finally:
        installed.patch(observer, {"spec": {"replicas": replicas}})
    wait_silent(kubernetes, seed, "False")
    product.wait_available(installed, "lastword-observer")


def run_job(kubernetes, name, script):
    template = agents.pod(agents.container(script), labels={"task-id": "nightly"})
    kubernetes.cluster.create(f"/apis/batch/v1/namespaces/{drivers.INJECTED}/jobs",
                          agents.job(name, template, backoffLimit=0))
    path = f"/api/v1/namespaces/{drivers.INJECTED}/pods?labelSelector=job-name%3D{name}"
    pod = kube.KubernetesPod(kubernetes.cluster, kube.wait_until(
        lambda: kubernetes.cluster.get(path)["items"], f"the pod of {name}")[0])
    kubernetes.pods.append(pod)
    return pod


def test_a_later_success_resolves(kubernetes):
    jobs = f"/apis/batch/v1/namespaces/{drivers.INJECTED}/jobs"
    try:
        failed = run_job(kubernetes, "nightly-28412345", FAILING)
        kubernetes.check_record(failed, exitCode=101)
        assert "resolvedAt" not in record(kubernetes, failed).get("status", {})
        run_job(kubernetes, "nightly-28412346", "exit 0").wait_phase("Succeeded")
        resolved = kube.wait_until(
            lambda: record(kubernetes, failed).get("status", {}).get("resolvedAt"),
            "its resolution")
        assert resolved > record(kubernetes, failed)["spec"]["finishedAt"]
    finally:
        for name in ("nightly-28412345", "nightly-28412346"):
            kubernetes.cluster.delete(f"{jobs}/{name}")
