"""Connections that say nothing, to the observer's port: the kubelet's probes find room all the same."""
import pytest

from strangers import Strangers
from test_process import cluster, observe  # noqa: F401
from waiting import wait_until

SILENT = 5000


@pytest.mark.parametrize("addresses", [["127.0.1.1"], [f"127.0.2.{i}" for i in range(1, 201)]],
                         ids=["one", "many"])
def test_silent_connections_fail_no_probe(cluster, observe, addresses):  # noqa: F811
    observer = observe(cluster("plain"), "one")
    wait_until(lambda: observer.get("/readyz")[0] == 200, "it to be ready")
    strangers = Strangers(int(observer.address.rpartition(":")[2]), SILENT, addresses)
    try:
        probes = [observer.get(path)[0] for path in ("/healthz", "/readyz") * 25]
    finally:
        opened = strangers.stop()
    assert opened >= SILENT
    assert set(probes) == {200}
