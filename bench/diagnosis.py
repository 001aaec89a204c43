#!/usr/bin/python3
"""Measures what it costs to redact and to diagnose the end of an agent's output, as the watchdog does
when the agent ends: 64 KiB of each log of tests/data/diagnosis, beside grep looking for three words in
the same bytes. The slowest log is beside the shortest grace that a sidecar has at the pod's end."""
import re
import resource
import subprocess
import sys
import tempfile

import table

ROWS = ("redact", "diagnose", "redact and diagnose, slowest log")
RING = 64 * 1024
SIDECAR_GRACE = 2000  # ms: the kubelet's minimum for a native sidecar


def logs():
    return [path for path in sorted((table.ROOT / "tests/data/diagnosis").glob("*.log"))
            if path.stat().st_size > 0]


def grep_rate(paths):
    """MB/s of processor time."""
    with tempfile.NamedTemporaryFile() as file:
        for path in paths:
            text = path.read_bytes()
            file.write((text * (RING // len(text) + 1))[:RING])
        file.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["grep", "-a", "-c", "-i", "-E", "error|fatal|exception", file.name],
                       stdout=subprocess.DEVNULL, env={"LC_ALL": "C.UTF-8"}, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return len(paths) * RING / 1e6 / (after.ru_utime + after.ru_stime
                                      - before.ru_utime - before.ru_stime)


def measure(table_):
    paths = logs()
    text = subprocess.run([table.BUILD / "bench/diagnosis", *paths], capture_output=True, text=True,
                          check=True).stdout
    redact, diagnose, most = map(float, re.search(
        r"redacted in ([\d.]+) ms, diagnosed in ([\d.]+) ms, at most ([\d.]+) ms", text).groups())
    grep = grep_rate(paths)
    for what, milliseconds in (("redact", redact), ("diagnose", diagnose)):
        table_.add("diagnosis", what, RING / 1e6 / (milliseconds / 1e3), "MB/s", "grep -iE", grep)
    table_.add("diagnosis", "redact and diagnose, slowest log", most, "ms for 64 KiB",
               "the sidecar's grace", SIDECAR_GRACE)


if __name__ == "__main__":
    sys.exit(table.main_of("diagnosis"))
