"""Leaves and authorities change every few seconds under a client that trusts nothing but what some
API server's caBundle says at that moment, and that holds on to connections: no failure."""
import datetime
import json

import pytest

from api_server import CONFIGURATION, SECRET, configuration
from conftest import Cluster
from dialer import Dialers
from pki import HOST, load
from waiting import wait_until

SETTLE = 1
LATES = (0, 0.4, 0.8)  # seconds after which an API server learns of a bundle


@pytest.fixture(scope="module")
def running_out(tmp_path_factory):
    """A replica whose renewals fail; it takes its time while the next test has the stage."""
    cluster = Cluster(tmp_path_factory)
    api = cluster.api
    api.put(CONFIGURATION, configuration())
    api.fault = lambda method, path, n: \
        (500, "InternalError") if (method, path) == ("PATCH", SECRET) else None
    replica = cluster.start("--cert-lifetime", "4s", "--ca-lifetime", "1h", "--propagation-delay", "500ms")
    leaf = replica.wait_ready().served()
    yield api, replica, leaf
    cluster.stop()


def test_no_connection_fails(cluster, running_out):
    api = cluster.api
    api.put(CONFIGURATION, configuration())
    arguments = ("--cert-lifetime", "9s", "--ca-lifetime", "18s", "--propagation-delay", f"{SETTLE}s")
    replicas = [cluster.start(*arguments).wait_ready() for _ in range(3)]
    first, = load(api.bundle())
    dialers = Dialers(api.bundles_file, LATES, SETTLE, HOST,
                      [f"127.0.0.1:{replica.port}" for replica in replicas])
    try:
        # The next authority's certificate is served, by the last replica too.
        wait_until(lambda: all(r.served().issuer != first.subject for r in replicas),
                   "the next authority")
        handshakes = [r.metric("lastword_http_connections") for r in replicas]
    finally:
        seen = dialers.stop()
    print(f"{sum(seen.counts)} connections, {seen.rate:.0f} a second; "
          f"{len(seen.serials)} certificates, {len(api.bundles)} bundles")
    assert seen.failures == []
    assert all(count > 0 for count in seen.counts) and len(seen.serials) >= 2
    assert sum(handshakes) >= 3  # the ones that are kept open
    bundles = [load(text) for _, text in api.bundles if text]
    assert bundles[0] == [first] and len(bundles[1]) == 2 and first in bundles[1]
    for replica in replicas:
        assert replica.ready() == (200, "ok\n")
        assert not replica.lines("certificates cannot be kept, the one in use stays")


def test_running_out_is_told(running_out):
    """Renewal fails; the certificate in use stays, and an Event comes as soon as one can."""
    api, replica, leaf = running_out
    message = "the certificate runs out and is not renewed"
    line = wait_until(lambda: replica.lines(message), "the warning")[0]
    assert line["level"] == "warning" and "status 500 InternalError" in line["error"]
    event = wait_until(lambda: api.events, "the Event")[0]
    assert event["type"] == "Warning" and event["reason"] == "CertificateRunsOut"
    assert event["involvedObject"]["name"] == "lastword-webhook-tls"
    assert event["metadata"]["namespace"] == "lastword-system"
    end = leaf.not_valid_after + datetime.timedelta(seconds=1)
    assert end.strftime("ends at %Y-%m-%dT%H:%M:%S") in event["message"]
    assert "500 InternalError" in event["message"]
    assert "PRIVATE" not in json.dumps(api.events)
    wait_until(lambda: replica.ready() == (503, "the certificate has expired\n"), "the end")
    assert replica.served() == leaf
    api.fault = None
    replica.wait_ready()
    assert replica.served() != leaf
    assert len(api.events) == 1 and len(replica.lines(message)) == 1
