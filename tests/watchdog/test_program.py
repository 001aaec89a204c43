"""The program as it is shipped: one static file, small. (Of the release build; the sanitized one is
another kind of program.)"""
import pathlib
import re
import signal
import subprocess

from conftest import PROGRAM
from waiting import wait_for_ring

SIZE_MAX = 200_000
RING = 64 << 10
RUN_MAX = 512 << 10  # of memory
WATCH_MAX = 1536 << 10  # and the ring


def test_it_is_small():
    with open(PROGRAM, "rb") as file:
        assert len(file.read()) <= SIZE_MAX


def test_it_needs_nothing():
    headers = subprocess.run(["readelf", "--program-headers", "--dynamic", PROGRAM],
                             capture_output=True, text=True, check=True).stdout
    assert "INTERP" not in headers and "NEEDED" not in headers
    assert "GNU_RELRO" in headers and "GNU_STACK" in headers
    stack = next(line for line in headers.split("GNU_STACK")[1].splitlines()[1:])
    assert "E" not in stack  # not executable


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10


def test_it_takes_little_memory(pod):
    """Both ends, when much has been said and told."""
    watch = pod.watch("--mode", "native")
    for code in range(10):
        assert pod.run("sh", "-c", f"seq 100000; exit {code}")[0] == code
    shim = pod.shim("sh", "-c", "seq 100000; echo said; sleep 60", stdout=subprocess.PIPE)
    while shim.stdout.readline() != b"said\n":
        pass
    wait_for_ring(watch.pid)
    assert resident(shim.pid) <= RUN_MAX  # it maps the ring too
    assert resident(watch.pid) <= WATCH_MAX + RING
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0
