"""The keys of a report: the watchdog writes them, the documentation explains them. Who reads them, and
that no context field takes their names, is the table's in lib/kube/agent_exit (tests/cli/test_crd.py)."""
import re

import pytest

from conftest import ROOT

WRITER = (ROOT / "watchdog/report.c").read_text()
WRITTEN = set(re.findall(r'(?:json_write_key|json_write_member\w*|write_\w+)\(&?writer, "(\w+)"',
                         WRITER))


def test_writer():
    assert {"event", "shim_instance", "log_tail", "reports_lost", "max_rss_bytes"} <= WRITTEN
    assert len(WRITTEN) > 25


@pytest.mark.parametrize("file", ["docs/watchdog.md", "watchdog/report.h"])
def test_keys_are_documented(file):
    text = (ROOT / file).read_text()
    assert {key for key in WRITTEN if not re.search(rf"\b{key}\b", text)} == set()
