"""The breaker: the real program sees pods that cannot start because of lastword, and keeps the state in
a ConfigMap. (tests/unit/test_injection_fault.c has every way in which they cannot.)"""
import datetime
import json

import pytest

import unwrapped
from cluster import Cluster
from test_process import observe  # noqa: F401
from waiting import wait_until

PLACE = ("--breaker", "lastword-system/lastword-breaker")
WAITS = {"waiting": {"reason": "PodInitializing"}}
BACKOFF = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"watchdog\""}}


def now(seconds=0):
    time = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def running():
    return {"running": {"startedAt": now()}}


def pod(name, watchdog, main, namespace="agents", trial=None):
    record = {"containers": [{"name": "main"}]} | ({"trial": trial} if trial else {})
    return {"type": "MODIFIED", "object": {
        "metadata": {
            "namespace": namespace, "name": name, "uid": f"{namespace}-{name}-uid",
            "creationTimestamp": now(), "labels": {"lastword.dev/injected": "true"},
            "annotations": {"lastword.dev/status": json.dumps(record)},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "coder",
                                 "uid": "job-uid", "controller": True}]},
        "spec": {"restartPolicy": "Never", "nodeName": "node1",
                 "initContainers": [{"name": "lastword-watchdog", "restartPolicy": "Always",
                                     "command": ["/shim", "watch", "--container", "main"]}],
                 "containers": [{"name": "main"}]},
        "status": {"phase": "Pending", "startTime": now(),
                   "initContainerStatuses": [{"name": "lastword-watchdog", "restartCount": 0,
                                              "state": watchdog}],
                   "containerStatuses": [{"name": "main", "restartCount": 0, "state": main}]}}}


def refused(message, namespace="agents"):
    return {"metadata": {"namespace": namespace, "name": "coder.1"}, "reason": "FailedCreate",
            "involvedObject": {"apiVersion": "batch/v1", "kind": "Job", "namespace": namespace,
                               "name": "coder", "uid": "job-uid"},
            "message": f"Error creating: pods \"coder-1\" is forbidden: {message}",
            "lastTimestamp": now(), "count": 3}


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path, [])
    yield made
    made.stop()


def happen(cluster, *events):
    with cluster.lock:
        cluster.events.extend(events)
        count = len(cluster.events)
    cluster.advance(count)
    cluster.wait_seen(count)


def state_of(cluster, namespace="agents"):
    return (cluster.breaker_entry(namespace) or {}).get("state")


def wait_for(cluster, state, namespace="agents"):
    wait_until(lambda: state_of(cluster, namespace) == state, f"the breaker to be {state}")
    return cluster.breaker_entry(namespace)


def metric(observer, namespace="agents"):
    return observer.metric(f'lastword_breaker_open{{namespace="{namespace}"}}')


def test_open_half_open_closed(cluster, observe):  # noqa: F811
    one = observe(cluster, "one", *PLACE, "--breaker-open-for", "1s")
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    happen(cluster, pod("well", running(), running()), pod("slow", WAITS, WAITS),
           pod("own-image", running(), BACKOFF))
    assert state_of(cluster) is None and metric(one) is None

    happen(cluster, pod("stuck", BACKOFF, WAITS))
    entry = wait_for(cluster, "open")
    assert entry["reason"] == "image" and entry["pod"] == "stuck" and entry["until"] > entry["since"]
    assert "Back-off pulling" in entry["message"]
    wait_until(lambda: metric(one) == 1, "the metric")
    sent = wait_until(lambda: [e for e in list(cluster.event_objects.values())
                               if e["reason"] == "BreakerOpened"][1:], "Events")
    assert sent[-1]["type"] == "Warning"
    assert {e["involvedObject"]["kind"] for e in cluster.event_objects.values()
            if e["reason"] == "BreakerOpened"} == {"Pod", "Job"}
    assert "namespace agents is open" in sent[-1]["message"]
    assert one.lines("the breaker is open: no pod of the namespace is wrapped")
    # The others are not concerned.
    assert state_of(cluster, "others") is None

    trial = wait_for(cluster, "half-open")["since"]
    assert metric(one) == 1
    # What was stuck before, and pods that nobody let through, say nothing.
    happen(cluster, pod("stuck", BACKOFF, WAITS), pod("other", running(), running()))
    happen(cluster, pod("trial", WAITS, WAITS, trial=trial))
    wait_until(lambda: cluster.breaker_entry("agents").get("trial") == "trial", "it to be seen")
    happen(cluster, pod("trial", BACKOFF, WAITS, trial=trial))
    again = wait_for(cluster, "open")
    assert again["pod"] == "trial" and again["since"] > trial

    trial = wait_for(cluster, "half-open")["since"]
    happen(cluster, pod("trial-2", running(), running(), trial=trial))
    wait_for(cluster, "closed")
    wait_until(lambda: metric(one) is None, "the metric to go")
    assert one.lines("the breaker is closed")
    happen(cluster, pod("stuck", BACKOFF, WAITS), pod("stuck", WAITS, WAITS))
    assert state_of(cluster) == "closed"


def test_two_replicas_and_a_restart(cluster, observe):  # noqa: F811
    arguments = (*PLACE, "--breaker-open-for", "1h")
    one = observe(cluster, "one", *arguments)
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    two = observe(cluster, "two", *arguments)
    wait_until(lambda: two.get("/readyz")[0] == 200, "it to be ready")
    happen(cluster, pod("stuck", BACKOFF, WAITS))
    since = wait_for(cluster, "open")["since"]
    one.stop()
    # The other one takes over; a pod of another namespace is stuck meanwhile.
    happen(cluster, pod("stuck", BACKOFF, WAITS, namespace="others"))
    wait_for(cluster, "open", "others")
    wait_until(lambda: metric(two, "others") == 1, "the metric")
    # The state is that of the other replica, and it outlives both.
    assert cluster.breaker_entry("agents")["since"] == since and metric(two) == 1
    two.stop()
    three = observe(cluster, "three", *arguments)
    wait_until(lambda: metric(three) == 1 and metric(three, "others") == 1, "the state")
    assert cluster.breaker_entry("agents")["since"] == since


def test_refusals(cluster, observe, tmp_path):  # noqa: F811
    cluster.opt_in("agents")
    config = unwrapped.write_config(tmp_path)
    cluster.fail_create(refused("minimum memory usage per Container is 1Gi, but request is 128Mi"))
    cluster.fail_create(refused("minimum memory usage per Container is 32Mi, but request is 16Mi",
                                namespace="not-opted-in"))
    one = observe(cluster, "one", *PLACE, "--webhook-config", config)
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    wait_until(lambda: [p for _, p in list(cluster.requests) if "events?" in p and "watch=1" in p],
               "the watch of Events")
    assert state_of(cluster) is None
    cluster.fail_create(refused("minimum memory usage per Container is 32Mi, but request is 16Mi"))
    entry = wait_for(cluster, "open")
    assert entry["reason"] == "refused" and entry["pod"] == "coder"
    assert state_of(cluster, "not-opted-in") is None
    event = wait_until(lambda: [e for e in list(cluster.event_objects.values())
                                if e["reason"] == "BreakerOpened"], "an Event")[0]
    assert event["involvedObject"]["kind"] == "Job"


def test_the_config_map_cannot_be_written(cluster, observe):  # noqa: F811
    """No right to: all else goes on."""
    cluster.refuse[("PATCH", "/configmaps/")] = (403, "Forbidden")
    one = observe(cluster, "one", *PLACE)
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    happen(cluster, pod("stuck", BACKOFF, WAITS))
    line, = wait_until(lambda: one.lines("the breaker's state cannot be written"), "a line")
    assert "403" in line["error"] and metric(one) is None
    assert one.get("/readyz")[0] == 200
    del cluster.refuse[("PATCH", "/configmaps/")]
    wait_for(cluster, "open")
    assert len(one.lines("the breaker's state cannot be written")) == 1
