"""The receivers of the observer's own configuration, notified by the real program on loopback."""
import datetime
import json
import pathlib

import pytest
import yaml

from certificate import Certificate
from cluster import Cluster, Observer
from receiver_server import ReceiverServer
from waiting import wait_until

QUICK = ("--failover-delay", "1s", "--watch-idle", "5s", "--silent-after", "1s")


def now(seconds=0):
    time = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class Agents(Cluster):
    """Pods that end as they are told, each with an output of its own."""

    def __init__(self, folder):
        super().__init__(folder, [])
        self.outputs = {}

    def log(self, request, path, query):
        name = path.split("/")[-2]
        request.send(200, self.outputs.get(name, "panic: it broke").encode())

    def end(self, name, code=1, namespace="agents", family="writer", output=None, helper=False,
            context=None):
        """family: of the Job that owns it."""
        number = len(self.events)
        state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed",
                                "startedAt": now(-60) if code else now(), "finishedAt": now(-1)}}
        if code == 0:  # it began after all that failed before
            state["terminated"]["finishedAt"] = now(1)
        statuses = [{"name": "main", "restartCount": 0, "state": state}]
        containers = [{"name": "main"}]
        if helper:
            containers.append({"name": "proxy"})
            statuses.append({"name": "proxy", "restartCount": 0,
                             "state": {"running": {"startedAt": now(-60)}}})
        if output is not None:
            self.outputs[name] = output
        self.events.append({"type": "ADDED", "object": {
            "metadata": {"namespace": namespace, "name": name, "uid": f"{number:08d}-aaaa",
                         "labels": {"agent": "rex"},
                         "annotations": {f"lastword.dev/context.{key}": value
                                         for key, value in (context or {}).items()},
                         "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": family,
                                              "uid": "99", "controller": True}]},
            "spec": {"restartPolicy": "Never", "nodeName": "node1", "containers": containers},
            "status": {"phase": "Running" if helper else "Succeeded" if code == 0 else "Failed",
                       "startTime": now(-60), "containerStatuses": statuses}}})
        self.advance(len(self.events))

    def states(self, receiver):
        """What the records say of it."""
        found = [entry for status in list(self.statuses.values())
                 for entry in status.get("notifications", []) if entry["receiver"] == receiver]
        return [entry["state"] for entry in found]


@pytest.fixture
def cluster(tmp_path):
    made = Agents(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def serve(tmp_path):
    made = []

    def start(**options):
        made.append(ReceiverServer(folder=tmp_path, **options))
        return made[-1]
    yield start
    for server in made:
        server.stop()


def write_config(folder, *receivers):
    path = folder / "observer.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "lastword.dev/v1alpha1", "kind": "ObserverConfig",
                                    "receivers": list(receivers)}))
    return path


@pytest.fixture
def observe(tmp_path, cluster):
    started = []

    def start(*receivers, name="one", config=None):
        path = config or write_config(tmp_path, *receivers)
        started.append(Observer(tmp_path, cluster, name, "--config", str(path), *QUICK))
        wait_until(lambda: started[-1].metric("lastword_observer_leader") == 1, "it to lead")
        return started[-1]
    yield start
    for observer in started:
        if observer.process.returncode != -9:
            observer.stop()


def webhook(server, name="hook", **settings):
    return {"name": name, "type": "webhook", "url": server.url + "/hook", **settings}


def test_a_termination_is_notified_once(cluster, serve, observe):
    server = serve()
    observer = observe(webhook(server))
    cluster.end("writer-1", output='panic: "quoted" \\ and <tags>\n')
    wait_until(lambda: cluster.states("hook") == ["Delivered"], "the status")
    body, = server.bodies()
    assert (body["status"], body["namespace"], body["pod"]) == ("firing", "agents", "writer-1")
    assert body["exitCode"] == 1 and body["silent"] is False and body["similar"] == 0
    assert '"quoted" \\ and <tags>' in body["payloadSnippet"]
    assert body["id"] == "00000000-aaaa.main.0"
    assert observer.metric(
        'lastword_notifications_total{receiver="hook",result="delivered"}') == 1
    assert observer.metric('lastword_receiver_last_success_timestamp_seconds{receiver="hook"}') > 1e9
    # Nothing is repeated by who comes next.
    observer.stop()
    observe(webhook(server), name="two")
    cluster.end("writer-2")
    wait_until(lambda: cluster.states("hook") == ["Delivered"] * 2, "the second")
    assert [b["pod"] for b in server.bodies()] == ["writer-1", "writer-2"]


def test_what_was_not_delivered_is_delivered_by_the_next(cluster, serve, observe):
    server = serve(status=503)
    observer = observe(webhook(server))
    cluster.end("writer-1")
    wait_until(lambda: server.attempts and cluster.states("hook") == ["Pending"], "an attempt")
    observer.kill()
    server.action = 200
    cluster.lease = None
    observe(webhook(server), name="two")
    wait_until(lambda: cluster.states("hook") == ["Delivered"], "the status")
    assert [b["pod"] for b in server.bodies()] == ["writer-1"]
