"""One tenant does what he can with his pods; the other's records, Events, metrics and logs come all
the same."""
import datetime
import threading

import pytest

from cluster import Cluster, Observer
from test_stories import OWNED, RUNNING, ended, pod
from waiting import HANG, wait_until

MONTH = 30 * 24 * 3600
FORGED, NAMES, DELETED, OTHERS = 12, 200, 128, 5
OUTPUT = b"starting\nError: broken pipe\n"


class Tenants(Cluster):
    """The logs of evil's pods are noise without end, or never come; but for the first ones', which
    are the other tenant's words, so that they get its fingerprint."""

    def __init__(self, folder, events):
        self.over = threading.Event()
        self.held = 0
        super().__init__(folder, events)

    def stop(self):
        self.over.set()
        super().stop()

    def log(self, request, path, query):
        name = path.split("/")[-2]
        if name.startswith("other") or name in {f"forged-{i}" for i in range(FORGED)}:
            request.send(200, b"the last words\n" if name == "other-deleted" else OUTPUT)
            return
        with self.lock:
            self.held += 1
        if "follow=true" in query:
            request.begin_stream()
            while not self.over.wait(0.2):
                request.send_chunk(b"still here\n")
        self.over.wait(HANG)
        with self.lock:
            self.held -= 1


def event(namespace, name, main, agent, **metadata):
    number = sum(name.encode()) * 1000 + len(name)
    return {"type": "MODIFIED", "object": pod(main, metadata={
        "namespace": namespace, "name": name, "uid": f"{name}-{number}",
        "labels": {"agent": agent}, **OWNED, **metadata})}


def deletion(seconds):
    end = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    return {"deletionTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "deletionGracePeriodSeconds": seconds}


@pytest.fixture
def tenants(tmp_path):
    evil = [event("evil", f"forged-{i}", ended(1), f"agent-{i}") for i in range(NAMES)]
    evil += [event("evil", f"lingering-{i}", RUNNING, "agent", **deletion(MONTH))
             for i in range(DELETED)]
    others = [event("others", f"other-{i}", ended(1), "rex") for i in range(OTHERS)]
    others += [event("others", "other-deleted", RUNNING, "rex", **deletion(30)),
               event("others", "other-deleted", ended(1), "rex", **deletion(30))]
    cluster = Tenants(tmp_path, evil + others)
    observer = Observer(tmp_path, cluster, "one")
    yield cluster, observer, len(evil)
    cluster.over.set()
    observer.stop()
    cluster.stop()


def test_a_tenant_and_the_others(tenants):
    cluster, observer, evil = tenants
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    cluster.advance(FORGED)
    wait_until(lambda: len(cluster.records) == FORGED, "the forged ones")
    cluster.advance(evil)
    cluster.wait_seen(evil)
    # Everything of evil's that can be held is held.
    wait_until(lambda: cluster.held >= DELETED + 30, "logs to hang")
    cluster.advance(len(cluster.events) - 1)
    cluster.wait_seen(len(cluster.events) - 1)
    wait_until(lambda: any("other-deleted/log" in path and "follow" in path
                           for _, path in cluster.requests), "its log to be followed")
    cluster.advance(len(cluster.events))

    def of_others(store):
        return [body for path, body in list(store.items()) if "/namespaces/others/" in path]
    wait_until(lambda: len(of_others(cluster.records)) == OTHERS + 1, "the others' records")
    records = {r["spec"]["pod"]: r["spec"] for r in of_others(cluster.records)}
    forged = [r["spec"] for path, r in cluster.records.items() if "forged-0." in path]
    assert records["other-0"]["fingerprint"] == forged[0]["fingerprint"]
    assert records["other-0"]["logTail"] == OUTPUT.decode()
    assert records["other-deleted"]["logTail"] == "the last words\n"
    wait_until(lambda: len([e for e in of_others(cluster.event_objects)
                            if e["involvedObject"]["kind"] == "Pod"
                            and e["reason"] == "AgentExit"]) == OTHERS + 1,
               "an Event of each")
    wait_until(lambda: observer.metric('lastword_agent_runs_total{namespace="others",agent="rex",'
                                       'result="failed"}') == OTHERS + 1, "the metrics")
    assert cluster.held > 0
