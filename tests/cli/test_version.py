"""lastword version, against a kubectl that answers like an API server where lastword is installed."""
import json

import pytest
import yaml

from test_status import APPS, VERSION, deployment


@pytest.fixture
def versions(cluster):
    """Versions of what is installed: webhook's and observer's image, the watchdog's."""
    def hold(webhook, observer, watchdog, args=("--watchdog-image=$(WATCHDOG_IMAGE)",)):
        paths = {f"{APPS}/lastword-{name}": deployment() for name in ("webhook", "observer")}
        for name, image in (("webhook", webhook), ("observer", observer)):
            container, = paths[f"{APPS}/lastword-{name}"]["spec"]["template"]["spec"]["containers"]
            container.update(image=image, args=["--config=/x", *args],
                             env=[{"name": "A"}, {"name": "WATCHDOG_IMAGE", "value": watchdog}])
        (cluster.folder / "paths.json").write_text(json.dumps(paths))
        return cluster
    return hold


def test_all_versions(versions):
    cluster = versions("localhost:5000/lastword:0.3.0", "lastword:v0.2.0@sha256:12", "watchdog:0.1.0")
    assert cluster.lastword("version").stdout.decode().splitlines() == [
        f"Client Version: {VERSION}", "Webhook Version: 0.3.0", "Observer Version: 0.2.0",
        "Watchdog Version: 0.1.0", "Kubernetes Version: v1.36.2"]
    expected = {"clientVersion": VERSION, "webhookVersion": "0.3.0", "observerVersion": "0.2.0",
                "watchdogVersion": "0.1.0", "kubernetesVersion": "v1.36.2"}
    assert json.loads(cluster.lastword("version", "-o", "json").stdout) == expected
    assert yaml.safe_load(cluster.lastword("version", "-o", "yaml").stdout) == expected


def test_an_image_without_a_tag_is_shown_itself(versions):
    cluster = versions("localhost:5000/lastword@sha256:12", "lastword", "", args=())
    lines = cluster.lastword("version").stdout.decode().splitlines()
    assert lines[1:4] == ["Webhook Version: localhost:5000/lastword@sha256:12",
                          "Observer Version: lastword", "Watchdog Version: unknown"]
    assert "watchdogVersion" not in json.loads(cluster.lastword("version", "-o", "json").stdout)


def test_an_image_that_the_flag_names(versions):
    cluster = versions("a:1", "a:1", "unused:2", args=("--watchdog-image=w:3",))
    assert b"Watchdog Version: 3\n" in cluster.lastword("version").stdout


def test_the_client_alone_reads_no_cluster(cluster):
    assert cluster.lastword("version", "--client").stdout.decode() == f"Client Version: {VERSION}\n"
    assert cluster.lastword("--version").stdout.decode() == f"lastword {VERSION}\n"
    assert cluster.calls() == []


def test_where_nothing_is_installed_the_rest_is_shown(cluster):
    done = cluster.lastword("version", status=1)
    assert done.stdout.decode().splitlines() == [f"Client Version: {VERSION}",
                                                 "Kubernetes Version: v1.36.2"]
    assert b"lastword version: " in done.stderr and b"NotFound" in done.stderr
    cluster.behave(fail="Unable to connect to the server")
    done = cluster.lastword("version", "-o", "json", status=1)
    assert json.loads(done.stdout) == {"clientVersion": VERSION}
