"""Leaf certificates and CAs change every few seconds under clients that trust only the caBundle that
one API server knows at that moment, and that keep connections open: no handshake fails."""
import datetime
import json

import pytest

from api_server import CONFIGURATION, SECRET, configuration
from conftest import Cluster
from dialer import Dialers
from pki import HOST, load
from waiting import wait_until

PROPAGATION_DELAY = 1
LATES = (0, 0.4, 0.8)  # seconds after which an API server learns of a bundle


@pytest.fixture(scope="module")
def expiring(tmp_path_factory):
    """A replica whose renewals fail. Its certificate expires while the next test runs."""
    cluster = Cluster(tmp_path_factory)
    api = cluster.api
    api.put(CONFIGURATION, configuration())
    api.fault = lambda method, path, n: \
        (500, "InternalError") if (method, path) == ("PATCH", SECRET) else None
    replica = cluster.start("--cert-lifetime", "4s", "--ca-lifetime", "1h",
                            "--propagation-delay", "500ms")
    leaf = replica.wait_ready().served()
    yield api, replica, leaf
    cluster.stop()


def test_no_connection_fails(cluster, expiring):
    api = cluster.api
    api.put(CONFIGURATION, configuration())
    arguments = ("--cert-lifetime", "9s", "--ca-lifetime", "18s",
                 "--propagation-delay", f"{PROPAGATION_DELAY}s")
    replicas = [cluster.start(*arguments).wait_ready() for _ in range(3)]
    first, = load(api.bundle())
    dialers = Dialers(api.bundles_file, LATES, PROPAGATION_DELAY, HOST,
                      [f"127.0.0.1:{replica.port}" for replica in replicas])
    try:
        # Also the last replica serves a certificate of the next CA.
        wait_until(lambda: all(r.served().issuer != first.subject for r in replicas),
                   "the next CA")
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
        assert not replica.lines("cannot reconcile the certificates; the one in use stays in use")


def test_expiry_is_reported(expiring):
    """When renewal fails, the certificate in use stays, and an Event is created as soon as one can
    be."""
    api, replica, leaf = expiring
    message = "the certificate is about to expire and is not renewed"
    line = wait_until(lambda: replica.lines(message), "the warning")[0]
    assert line["level"] == "warning" and "status 500 InternalError" in line["error"]
    event = wait_until(lambda: api.events, "the Event")[0]
    assert event["type"] == "Warning" and event["reason"] == "CertificateExpiring"
    assert event["involvedObject"]["name"] == "lastword-webhook-tls"
    assert event["metadata"]["namespace"] == "lastword-system"
    end = leaf.not_valid_after + datetime.timedelta(seconds=1)
    assert end.strftime("expires at %Y-%m-%dT%H:%M:%S") in event["message"]
    assert "500 InternalError" in event["message"]
    assert "PRIVATE" not in json.dumps(api.events)
    wait_until(lambda: replica.ready() == (503, "the certificate has expired\n"), "the end")
    assert replica.served() == leaf
    api.fault = None
    replica.wait_ready()
    assert replica.served() != leaf
    assert len(api.events) == 1 and len(replica.lines(message)) == 1
