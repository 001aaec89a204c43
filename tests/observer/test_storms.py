"""An API server in trouble, and one that tenants keep busy: storms of errors, watches whose connection
is half closed, pods whose labels change back and forth. Each termination has its one record."""
import collections
import itertools
import socket

from cluster import Cluster
from test_process import (QUICK, cluster, expected, observe, step_through,  # noqa: F401
                          wait_for_all)
from test_stories import RUNNING, brief, ended, pod, replay  # noqa: F401
from waiting import wait_until

ERRORS = [(429, "TooManyRequests", {"Retry-After": "1"}), (500, "InternalError", {}),
          (429, "TooManyRequests", {}), (503, "ServiceUnavailable", {}), (504, "Timeout", {})]


class Storm:
    """Answers the first requests of each kind with an error of each sort, then lets them pass."""

    def __init__(self, cluster):
        self.respond = cluster.respond
        self.errors = itertools.cycle(ERRORS)
        self.failed = collections.Counter()
        self.times = 0  # that a request of each kind fails

    def kind(self, request):
        path = request.path.partition("?")[0]
        return request.command, path, "watch=1" in request.path

    def __call__(self, request):
        kind = self.kind(request)
        if self.failed[kind] >= self.times:
            return self.respond(request)
        self.failed[kind] += 1
        code, reason, headers = next(self.errors)
        return request.send_status(code, reason, "a storm", headers)


def test_a_storm_of_errors(cluster, observe):  # noqa: F811
    """Each list, watch, log, record, status, Event and Lease fails two times."""
    c = cluster("plain")
    storm = Storm(c)
    c.server.respond = storm
    observer = observe(c, "one", *QUICK)
    storm.times = 2
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    step_through(c, observer)
    wait_for_all(c, expected("plain"))
    hit = {(method, watch) for method, _, watch in storm.failed}
    assert {("GET", False), ("GET", True), ("POST", False), ("PATCH", False)} <= hit


def test_a_storm_over_everything_ends(cluster, observe):  # noqa: F811
    """For a while every request fails with 429 and 500; afterwards nothing is missing."""
    c = cluster("plain")
    observer = observe(c, "one", *QUICK)
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    storm = Storm(c)
    storm.times = 1_000_000
    c.server.respond = storm
    c.advance(90)
    wait_until(lambda: sum(storm.failed.values()) > 12, "requests that fail")
    storm.times = 0
    step_through(c, observer)
    wait_for_all(c, expected("plain"))


def test_half_closed_watches(cluster, observe):  # noqa: F811
    """The server closes its half of the connection, in order or amid a line, and goes on reading; or
    it reads no more. What was cut is asked for again."""
    c = cluster("plain")
    closed = collections.Counter()

    def trouble(request, place):
        kind = ("after a line", "amid a line", "amid a chunk")[(place // 12) % 3]
        if place % 12 != 5 or closed[place]:
            return False
        closed[place] += 1
        closed[kind] += 1
        event = b'{"type":"MODIFIED","object":{"metadata":{"name":"cut'
        if kind == "amid a line":
            request.send_chunk(event)
        elif kind == "amid a chunk":
            request.wfile.write(b"1000\r\n" + event)
            request.wfile.flush()
        request.connection.shutdown(socket.SHUT_WR)
        plain = socket.socket(fileno=socket.dup(request.connection.fileno()))
        plain.settimeout(60)
        while plain.recv(4096):  # until the observer closes its half
            pass
        plain.close()
        return True
    c.trouble = trouble
    observer = observe(c, "one", *QUICK)
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    step_through(c, observer)
    wait_for_all(c, expected("plain"))
    assert all(closed[kind] >= 3 for kind in ("after a line", "amid a line", "amid a chunk"))


# ---- Labels that change ----

def toggled(times, last):
    """A pod that loses and gets the label so often, then is as said."""
    return [*itertools.chain.from_iterable(
        (pod(RUNNING), ("UNLABELED", pod(RUNNING))) for _ in range(times)), *last]


def test_a_label_that_comes_and_goes(replay):  # noqa: F811
    """However often: one record for the run that failed while the pod was watched."""
    failed = pod(ended(3), ended(0, "Completed"), "Failed")
    assert brief(replay(toggled(100, [pod(RUNNING), failed]))) == [("main.0", "Error", 3, True)]
    # It fails while it is not watched, and is labelled again afterwards.
    assert brief(replay(toggled(100, [failed]))) == [("main.0", "Error", 3, True)]
    # Unlabelled for good: it is no longer ours.
    assert replay(toggled(100, [])) == []


def test_a_label_that_goes_after_the_end(replay):  # noqa: F811
    """What is recorded is recorded once, also of a pod that comes back a hundred times."""
    failed = pod(ended(3), ended(0, "Completed"), "Failed")
    back = [step for _ in range(100) for step in (failed, ("UNLABELED", failed))]
    assert brief(replay([pod(RUNNING), *back, failed, ("DELETED", failed)])) == [
        ("main.0", "Error", 3, True)]


def test_an_agent_that_changes_its_name(replay):  # noqa: F811
    """The label `agent` has a new value in every event: still one record, with the value at the end."""
    steps = [pod(RUNNING, metadata={"labels": {"agent": f"agent-{i}", "task-id": "7"}})
             for i in range(300)]
    failed = pod(ended(3), ended(0, "Completed"), "Failed",
                 metadata={"labels": {"agent": "last", "task-id": "7"}})
    records = replay([*steps, failed])
    assert brief(records) == [("main.0", "Error", 3, True)]
    assert records[0]["spec"]["agent"] == "last"
