"""The remedy: the real program fails silent pods where their rules ask for it. A detector as it is used
in the field then sees no dead agent in a pod that runs."""
import copy
import json
import time

import pytest

from cluster import Cluster
from test_breaker import now, running
from test_process import observe  # noqa: F401
from waiting import wait_until

REMEDY = ("--remedy", "fail-pod", "--silent-after", "1s")
FIELDS = ("name", "restartCount", "state", "ready")


def ended(code, seconds=0):
    return {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed",
                           "startedAt": now(seconds - 10), "finishedAt": now(seconds)}}


def pod(name, fail_pod=True, **states):
    agents = [n for n in states if n != "proxy"]
    record = {"containers": [{"name": n} for n in agents]}
    if fail_pod:
        record["onSilentExit"] = "fail-pod"
    return {"type": "MODIFIED", "object": {
        "metadata": {"namespace": "agents", "name": name, "uid": f"{name}-000-uid",
                     "creationTimestamp": now(-20), "labels": {"lastword.dev/injected": "true"},
                     "annotations": {"lastword.dev/status": json.dumps(record)}},
        "spec": {"restartPolicy": "Never", "nodeName": "node1",
                 "containers": [{"name": n} for n in states]},
        "status": {"phase": "Running", "startTime": now(-20), "containerStatuses": [
            dict(zip(FIELDS, (n, 0, state, "running" in state))) for n, state in states.items()]}}}


def kubelet(changed):
    """Stops what runs, and the pod has failed."""
    assert changed["spec"]["activeDeadlineSeconds"] == 1
    stopped = copy.deepcopy(changed)
    stopped["status"] |= {"phase": "Failed", "reason": "DeadlineExceeded"}
    for status in stopped["status"]["containerStatuses"]:
        if "running" in status["state"]:
            status["state"] = ended(137)
    return stopped


def dead_agents(cluster):
    """As the detector in the field: of pods that run, containers that ended with another code than 0."""
    with cluster.lock:
        pods = cluster.pods(max(cluster.applied, 0)).values()
        return {p["metadata"]["name"] for p in pods if p["status"]["phase"] == "Running"
                for s in p["status"]["containerStatuses"]
                if s["state"].get("terminated", {}).get("exitCode", 0) != 0}


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path, [])
    made.kubelet = kubelet
    yield made
    made.stop()


def happen(cluster, *events):
    with cluster.lock:
        cluster.events.extend(events)
    cluster.advance(len(cluster.events))


def changed_pods(cluster):
    return {path.rsplit("/", 1)[1] for method, path in list(cluster.requests)
            if method == "PATCH" and "/pods/" in path}


def test_no_dead_agent_in_a_pod_that_runs(cluster, observe):  # noqa: F811
    one = observe(cluster, "one", *REMEDY)
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    happen(cluster, *(pod(f"silent-{i}", main=ended(101), proxy=running()) for i in range(5)))
    happen(cluster, pod("well", main=running(), proxy=running()),
           pod("finished", main=ended(0), proxy=running()))
    assert dead_agents(cluster)
    wait_until(lambda: not dead_agents(cluster), "no dead agent")
    assert changed_pods(cluster) == {f"silent-{i}" for i in range(5)}
    # The evidence came first: each has its record, which says that it was silent.
    statuses = {path.rsplit("/", 1)[1].split(".")[0]: status
                for path, status in list(cluster.statuses.items())}
    assert all(statuses[f"silent-{i}"]["conditions"][0]["type"] == "Silent" for i in range(5))
    requests = [(method, path) for method, path in list(cluster.requests)]
    for i in range(5):
        recorded = next(n for n, (m, p) in enumerate(requests)
                        if m == "PATCH" and f"agentexits/silent-{i}." in p)
        assert recorded < requests.index(("PATCH", f"/api/v1/namespaces/agents/pods/silent-{i}"))
    wait_until(lambda: {e["involvedObject"]["name"] for e in list(cluster.event_objects.values())
                        if e["reason"] == "AgentPodFailed"} == {f"silent-{i}" for i in range(5)},
               "an Event of each")
    wait_until(lambda: one.metric("lastword_observer_failed_pods_total") == 5, "the metric")


def test_who_is_left_alone(cluster, observe):  # noqa: F811
    """A pod whose rule does not ask for it; one with another agent at work, until that has ended."""
    one = observe(cluster, "one", *REMEDY)
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    happen(cluster, pod("other-rule", fail_pod=False, main=ended(101), proxy=running()),
           pod("two-agents", main=ended(101), critic=running()))
    wait_until(lambda: len([s for s in list(cluster.statuses.values()) if "conditions" in s]) == 2,
               "both to be silent")
    wait_until(lambda: [p for m, p in list(cluster.requests) if p.endswith("/pods/two-agents")][1:],
               "the remedy to look at the pod")
    time.sleep(1)
    assert changed_pods(cluster) == set()


def test_off_by_default(cluster, observe):  # noqa: F811
    one = observe(cluster, "one", "--silent-after", "1s")
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    happen(cluster, pod("silent", main=ended(101), proxy=running()))
    wait_until(lambda: [s for s in list(cluster.statuses.values()) if "conditions" in s],
               "it to be silent")
    time.sleep(1)
    assert changed_pods(cluster) == set() and dead_agents(cluster) == {"silent"}
