"""The keys of a report, wherever they are listed: the watchdog writes them, the observer reads them,
the webhook keeps a context field from taking their names, the documentation explains them."""
import re

import pytest

from conftest import ROOT

WRITER = (ROOT / "watchdog/report.c").read_text()
WRITTEN = set(re.findall(r'(?:json_write_key|json_write_member\w*|write_\w+)\(&?writer, "(\w+)"',
                         WRITER))


def strings(file, beginning):
    """The string literals of the array that begins so."""
    text = (ROOT / file).read_text()
    start = text.index(beginning)
    return set(re.findall(r'"(\w+)"', text[start:text.index("};", start)]))


def test_writer():
    assert {"event", "shim_instance", "log_tail", "reports_lost", "max_rss_bytes"} <= WRITTEN
    assert len(WRITTEN) > 25


@pytest.mark.parametrize("file,beginning", [
    ("webhook/options.c", "static const char *const taken[]"),
    ("observer/evidence/watchdog_report.c", "static const char *const own[]"),
])
def test_keys_are_known(file, beginning):
    assert WRITTEN - strings(file, beginning) == set()


@pytest.mark.parametrize("file", ["docs/watchdog.md", "watchdog/report.h"])
def test_keys_are_documented(file):
    text = (ROOT / file).read_text()
    assert {key for key in WRITTEN if not re.search(rf"\b{key}\b", text)} == set()
