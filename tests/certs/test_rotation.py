"""Leaves and authorities change every few seconds under a client that trusts nothing but what some
API server's caBundle says at that moment, and that holds on to connections: no failure."""
import collections
import http.client
import random
import socket
import threading
import time

from api_server import CONFIGURATION, configuration
from pki import load
from webhook_process import wait_for

CLIENTS = 3
CONNECTIONS_MIN = 1000
SETTLE = 1.0
LATEST = 0.8  # an API server learns of a bundle in less than settle


class Views:
    """What API servers that learn of a bundle late have in their hands."""

    def __init__(self, api):
        self.api = api
        self.start = time.monotonic()

    def bundle(self, late):
        then = max(time.monotonic() - late, self.start)
        with self.api.lock:
            return [text for at, text in self.api.bundles if at <= then][-1]


class Client(threading.Thread):
    """An API server: dials anew for every request, and keeps one connection to each replica."""

    def __init__(self, views, replicas, late, seed):
        super().__init__()
        self.views, self.replicas, self.late = views, replicas, late
        self.random = random.Random(seed)
        self.failures = []
        self.count = 0
        self.serials = collections.Counter()
        self.stopping = threading.Event()

    def run(self):
        kept = {}
        while not self.stopping.is_set():
            replica = self.random.choice(self.replicas)
            try:
                with replica.dial(self.views.bundle(self.late)) as tls:
                    self.serials[dict(tls.getpeercert())["serialNumber"]] += 1
                self.count += 1
                if replica not in kept:
                    kept[replica] = http.client.HTTPConnection("localhost")
                    kept[replica].sock = replica.dial(self.views.bundle(self.late))
                if self.count % 20 == 0:
                    kept[replica].request("GET", "/mutate")
                    assert kept[replica].getresponse().read() == b"expected the method POST\n"
            except (OSError, AssertionError, http.client.HTTPException) as failure:
                self.failures.append(f"{time.time():.3f} {replica.port} {failure!r}")
        for connection in kept.values():
            connection.close()


def test_no_connection_fails(cluster):
    cluster.api.put(CONFIGURATION, configuration())
    arguments = ("--cert-lifetime", "6s", "--ca-lifetime", "12s", "--settle", f"{SETTLE:.0f}s")
    replicas = [cluster.start(*arguments).wait_ready() for _ in range(3)]
    first, = load(cluster.api.bundle())
    views = Views(cluster.api)
    clients = [Client(views, replicas, LATEST * i / (CLIENTS - 1), i) for i in range(CLIENTS)]
    start = time.monotonic()
    for client in clients:
        client.start()

    def first_has_come_and_gone():
        return first not in load(cluster.api.bundle()) and \
            sum(client.count for client in clients) >= CONNECTIONS_MIN
    try:
        wait_for(lambda: first_has_come_and_gone() or any(c.failures for c in clients),
                 "the first authority to go")
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()
    took = time.monotonic() - start
    count = sum(client.count for client in clients)
    print(f"{count} connections, {count / took:.0f} a second, in {took:.1f} s; "
          f"{len(set().union(*(c.serials for c in clients)))} certificates, "
          f"{len(cluster.api.bundles)} bundles")
    assert [failure for client in clients for failure in client.failures] == []
    assert len(set().union(*(client.serials for client in clients))) >= 3
    bundles = [load(text) for _, text in cluster.api.bundles if text]
    assert [first] in bundles and any(first in b and len(b) == 2 for b in bundles)
    made = [r.metric('lastword_certificate_rotations_total{what="authority"}') for r in replicas]
    assert sum(made) == len({c for b in bundles for c in b} | set(load(cluster.api.data("ca.crt"))))
    for replica in replicas:
        assert replica.ready() == (200, "ok\n")
        assert not replica.lines("certificates cannot be kept, the one in use stays")
