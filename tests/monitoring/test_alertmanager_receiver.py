"""A real Alertmanager gets the observer's alerts by its API: they fire, are grouped, and are resolved by the
agent's next success."""
import contextlib
import types

import pytest
from cluster import Observer
from failing_agents import Agents, write_config
from waiting import wait_until

from servers import Alertmanager, Notified
from test_prometheus import QUICK

FAILED, SILENT = "LastwordAgentFailed", "LastwordAgentSilent"


@pytest.fixture
def world(tmp_path):
    w = types.SimpleNamespace()
    with contextlib.ExitStack() as stops:
        def stopped(server):
            stops.callback(server.stop)
            return server

        for name in ("cluster", "observer", "alertmanager"):
            (tmp_path / name).mkdir()
        w.notified = stopped(Notified())
        w.alertmanager = stopped(Alertmanager(tmp_path / "alertmanager", w.notified.url))
        w.cluster = stopped(Agents(tmp_path / "cluster"))
        receiver = {"type": "alertmanager", "labels": {"cluster": "west"},
                    "url": f"http://{w.alertmanager.address}/api/v2/alerts"}
        config = write_config(tmp_path / "observer", {"name": "failed", **receiver}, {
            "name": "silent", "filter": {"silentOnly": True}, **receiver})
        w.observer = stopped(Observer(tmp_path / "observer", w.cluster, "one", "--config", str(config),
                                      *QUICK))
        wait_until(lambda: w.observer.metric("lastword_observer_leader") == 1, "it to lead")
        yield w


def test_it_fires_is_grouped_and_is_resolved(world):
    w = world
    # Two agents of one namespace, one of them twice; one of them silent.
    w.cluster.end("writer-1", output="panic: no route\n", code=101)
    w.cluster.end("writer-2", output="panic: no way\n", code=101)
    w.cluster.end("reader-1", family="reader", output="panic: no paper\n", code=101, helper=True)

    wait_until(lambda: any(len(m["alerts"]) == 2 for m in w.notified.about(FAILED)), "a group of two")
    message = next(m for m in w.notified.about(FAILED) if len(m["alerts"]) == 2)
    assert message["status"] == "firing"
    assert message["commonLabels"] == {
        "alertname": FAILED, "namespace": "agents", "agent": "rex", "container": "main",
        "cause": "Panic", "cluster": "west", "severity": "error"}
    assert {a["annotations"]["snippet"] for a in message["alerts"]} <= {
        "panic: no route", "panic: no way", "panic: no paper"}
    wait_until(lambda: w.notified.about(SILENT), "the silent one")
    silent, = w.notified.about(SILENT)[0]["alerts"]
    assert silent["labels"]["severity"] == "critical" and silent["status"] == "firing"
    assert silent["annotations"]["command"] == "kubectl lastword why -n agents reader-1"

    w.cluster.end("writer-3", code=0)
    w.cluster.end("reader-2", family="reader", code=0)
    wait_until(lambda: w.notified.about(FAILED)[-1]["status"] == "resolved" and
               w.notified.about(SILENT)[-1]["status"] == "resolved", "them to be resolved")
    wait_until(lambda: w.cluster.states("failed") == ["Resolved"] * 3 and
               w.cluster.states("silent") == ["Resolved"], "the records")
    assert not w.alertmanager.get("/api/v2/alerts", active="true")
