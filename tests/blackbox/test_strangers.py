"""What others can do to the webhook who reach its ports: honest clients find room all the same."""
import http.client
import json
import pathlib
import re
import socket
import ssl
import threading
import time

import pytest

from cgroups import Container
from strangers import Strangers
from waiting import HANG, wait_until
from webhook_process import BUILD, ROOT

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
REVIEW = (DATA / "reviews/019-create-pods-bare.json").read_bytes()
SILENT = 5000
REVIEWS = 10
ONE_ADDRESS = ["127.0.1.1"]
MANY_ADDRESSES = [f"127.0.2.{i}" for i in range(1, 201)]


def probe(webhook, path="/healthz"):
    """As the kubelet does it: a new connection each time."""
    connection = http.client.HTTPConnection("127.0.0.1", webhook.metrics_port, timeout=HANG)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def new_review(webhook, context):
    """A review on a connection of its own."""
    try:
        with socket.create_connection(("127.0.0.1", webhook.port), HANG) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as tls:
            connection = http.client.HTTPConnection("localhost")
            connection.sock = tls
            connection.request("POST", "/mutate", REVIEW, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status == 200 and b'"patch"' in response.read()
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize("addresses", [ONE_ADDRESS, MANY_ADDRESSES], ids=["one", "many"])
@pytest.mark.parametrize("which", ["port", "metrics_port"])
def test_silent_connections_keep_nobody_out(webhook, addresses, which):
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    kept = webhook.connect()  # as the API server keeps it between two reviews
    assert webhook.post("/mutate", REVIEW, connection=kept)[0] == 200
    context = webhook.tls_context()
    strangers = Strangers(getattr(webhook, which), SILENT, addresses)
    try:
        probes = [probe(webhook) for _ in range(50)]
        reviews = [new_review(webhook, context) for _ in range(100)]
        assert webhook.post("/mutate", REVIEW, connection=kept)[0] == 200
    finally:
        opened = strangers.stop()
        kept.close()
    assert opened >= SILENT
    assert all(probes), probes.count(False)
    assert reviews.count(True) >= 99, reviews.count(True)


# ---- Reviews that are made to be costly ----

def with_many_resources(count):
    """As many invented resource names as limits as the size of a pod allows, and as requests."""
    review = json.loads(REVIEW)
    names = {f"x.example.com/r{i}": "1" for i in range(count)}
    review["request"]["object"]["spec"]["containers"][0]["resources"] = \
        {"limits": names, "requests": names}
    return json.dumps(review, separators=(",", ":")).encode()


def with_many_mounts_and_devices(mounts, devices):
    review = json.loads(REVIEW)
    review["request"]["object"]["spec"]["containers"][0].update(
        volumeMounts=[{"name": "v", "mountPath": f"/m{i}"} for i in range(mounts)],
        volumeDevices=[{"name": "v", "devicePath": f"/d{i}"} for i in range(devices)])
    return json.dumps(review, separators=(",", ":")).encode()


@pytest.mark.parametrize("costly", [with_many_resources(25_000),
                                    with_many_mounts_and_devices(250, 45_000)],
                         ids=["resources", "devices"])
def test_costly_reviews_keep_nobody_out(webhook, costly):
    """Reviews of 1.4 MB again and again, each from a connection of its own: each gets its
    response, and so does every other review meanwhile."""
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    assert len(costly) > 1_200_000
    stop, responses = threading.Event(), []

    def attack():
        while not stop.is_set():
            connection = webhook.connect()
            status, _, body = webhook.post("/mutate", costly, connection=connection)
            responses.append(status == 200 and json.loads(body)["response"]["allowed"])
            connection.close()
    threads = [threading.Thread(target=attack) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        context = webhook.tls_context()
        reviews = [new_review(webhook, context) for _ in range(100)]
        wait_until(lambda: len(responses) >= 10, "costly reviews")
    finally:
        stop.set()
        for thread in threads:
            thread.join(4 * HANG)
    assert all(reviews) and all(responses)


# ---- All bounds at once, in a container of the shipped manifest's size ----

def memory_limit():
    text = (ROOT / "manifests/base/webhook.yaml").read_text()
    return int(re.search(r"limits:\s+memory: (\d+)Mi", text)[1]) << 20


def header(length):
    return (b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % length)


def large_tree(size):
    """A pod of many small nodes: its tree is up to forty times as large."""
    review = json.loads(REVIEW)
    review["request"]["object"]["spec"]["tolerations"] = [1] * (size // 3)
    return json.dumps(review, separators=(",", ":")).encode()


def large_response(size):
    """Bytes that are doubled, escaped and encoded in the response."""
    review = json.loads(REVIEW)
    review["request"]["object"]["spec"]["containers"][0].pop("command", None)
    review["request"]["object"]["metadata"].setdefault("annotations", {})["lastword.dev/command"] = \
        json.dumps(["/x", "$" * size])
    return json.dumps(review).encode()


class Load(threading.Thread):
    """Connections from an address of its own, all kept; each gets what is to be sent, and nothing
    is read. What the server ends is opened again."""

    def __init__(self, webhook, address, count, data, stop):
        super().__init__()
        self.webhook, self.address, self.count = webhook, address, count
        self.data, self.stop_event, self.sent = data, stop, 0
        self.context = ssl._create_unverified_context()

    def run(self):
        held = []
        while not self.stop_event.is_set():
            try:
                plain = socket.create_connection(("127.0.0.1", self.webhook.port), HANG,
                                                 (self.address, 0))
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                tls = self.context.wrap_socket(plain)
                tls.settimeout(2)
                held.append(tls)
                tls.sendall(self.data)
                self.sent += 1
            except OSError:
                time.sleep(0.01)
            while len(held) > self.count:
                held.pop(0).close()
        for tls in held:
            tls.close()


def test_all_bounds_at_once_fit_the_manifest(start_webhook):
    """Connections, half bodies, trees and unread responses as many as there may be, and more."""
    # The sanitizer keeps what is freed and shadows what is not: its build proves the rest.
    container = Container(memory_limit() * (8 if "asan" in BUILD.parts else 1))
    stop = threading.Event()
    try:
        webhook = start_webhook(arguments=["--threads", "8"], preexec_fn=container.join)
        wait_until(lambda: webhook.ready()[0] == 200, "readiness")
        tree, response = large_tree(1_400_000), large_response(120_000)
        idle = header(len(REVIEW)) + REVIEW
        half = header(2_000_000) + b" " * 1_900_000
        loads = [Load(webhook, f"127.0.{kind}.{i}", count, data, stop)
                 for kind, number, count, data in (
                     (3, 4, 120, idle), (4, 4, 12, half),
                     (5, 4, 4, header(len(tree)) + tree),
                     (6, 8, 30, header(len(response)) + response))
                 for i in range(1, 1 + number)]
        for load in loads:
            load.start()
        context, reviews, probes = webhook.tls_context(), [], []

        def reached():
            """The bounds: each client has had all its connections, and some were refused or ended."""
            return all(load.sent > load.count for load in loads) and \
                webhook.metric("lastword_http_overloaded_total") > 0 and \
                webhook.metric("lastword_http_displaced_total") > 0
        until = time.monotonic() + 2 * HANG
        while len(reviews) < REVIEWS or not reached() and time.monotonic() < until:
            reviews.append(new_review(webhook, context))
            probes.append(probe(webhook))
        overloaded = webhook.metric("lastword_http_overloaded_total")
        displaced = webhook.metric("lastword_http_displaced_total")
        stop.set()
        for load in loads:
            load.join(4 * HANG)
        peak = container.peak()
        print(f"peak {peak >> 20} MiB of {container.limit >> 20}; reviews {reviews.count(True)} of "
              f"{len(reviews)}, overloaded {overloaded}, displaced {displaced}, sent {[load.sent for load in loads]}")
        assert webhook.process.poll() is None, "killed"
        assert all(load.sent > load.count for load in loads) and all(probes)
        assert overloaded > 0 and displaced > 0  # the bounds were reached
        assert peak < container.limit
        assert new_review(webhook, context)
        webhook.stop()
    finally:
        stop.set()
        container.remove()
