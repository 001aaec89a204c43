"""lastword scan, against a kubectl that answers like an API server where nothing is installed."""
import re

import pytest
import yaml

from record_cluster import ROOT
from test_records import columns, harmful, read_transcripts, transcribe

FOLDER = ROOT / "tests/data/scan"


@pytest.fixture
def pods(cluster):
    cluster.hold_pods(yaml.safe_load((FOLDER / "pods.yaml").read_text()))
    return cluster


@pytest.mark.parametrize("call, expected", read_transcripts(FOLDER / "transcripts.txt"),
                         ids=lambda x: str(x)[:60])
def test_transcript(pods, call, expected):
    def without_seconds(lines):  # five, or some more on a slow machine
        return [re.sub(r"(?<= )\d{1,2}s(?= ) ?", "<s> ", line) for line in lines]
    assert without_seconds(transcribe(pods, call)) == without_seconds(expected)


def test_it_reads_pods_and_the_version_only(pods):
    pods.lastword("scan", "-A")
    assert [call[-1] for call in pods.calls()] == ["/version", "/api/v1/pods?limit=250"]


def test_nothing_steers_the_terminal_and_every_width_fits(pods):
    for width in range(40, 121, 20):
        text = pods.lastword("scan", "-A", environment={"COLUMNS": str(width)}).stdout.decode()
        assert harmful(text) == []
        tables = text.split("\nThe other pods")[0]
        assert all(columns(line) <= width for line in tables.splitlines()
                   if not line.startswith(("Other", "Pods"))), text


def test_pages_are_one_list(pods):
    def scan():
        return re.sub(r" \d+s ", " <age> ", pods.lastword("scan", "-A").stdout.decode())
    whole = scan()
    pods.behave(namespace="agents", page=2, expire=1)
    assert scan() == whole


def test_a_configuration_of_ones_own(pods, tmp_path):
    config = yaml.safe_load((ROOT / "manifests/base/config.yaml").read_text())
    config["rules"] = [{"name": "all-of-shop", "match": {"namespaces": ["shop"]}}]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    text = pods.lastword("scan", "-A", "--config", path).stdout.decode()
    assert "Pods that the webhook would inject: 1 of 5" in text and "all-of-shop" in text


def test_a_server_without_a_version(pods):
    pods.behave(namespace="agents", no_version=True)
    assert b"Silent now: 1" in pods.lastword("scan", "-A").stdout


def test_no_access(cluster):
    cluster.behave(namespace="agents", fail="Error from server (Forbidden): pods is forbidden")
    done = cluster.lastword("scan", "-A", status=1)
    assert b"pods is forbidden" in done.stderr and done.stdout == b""
