"""What others can do to the webhook who reach its ports: honest clients find room all the same."""
import http.client
import json
import pathlib
import socket
import ssl
import time

import pytest

from strangers import Strangers
from waiting import HANG, wait_until

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
REVIEW = (DATA / "reviews/019-create-pods-bare.json").read_bytes()
SILENT = 5000
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
