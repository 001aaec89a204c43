"""PROTOCOL.md says what the code does: message numbers, sizes and every bound on waiting."""
import re

import pytest

from conftest import ROOT

DOCUMENT = (ROOT / "watchdog/PROTOCOL.md").read_text()


def source(name):
    return (ROOT / "watchdog" / name).read_text()


def test_messages():
    documented = {name: int(number) for number, name in
            re.findall(r"^\| (\d+) \| ([A-Z]+) \|", DOCUMENT, re.M)}
    coded = {name: int(number) for name, number in
             re.findall(r"^\tMESSAGE_([A-Z]+) = (\d+),", source("protocol.h"), re.M)}
    assert documented == coded and len(coded) > 9


def test_record():
    size = re.search(r"sizeof\(struct message\) == (\d+)", source("protocol.c")).group(1)
    assert f"record of {size} bytes" in DOCUMENT


@pytest.mark.parametrize("file,constant,value,words", [
    ("run.c", "ACK_WAIT", "(100 * MILLISECOND)",
     "to close the connection after EXIT | 100 ms |"),
    ("run.c", "FINISH_WAIT", "(5 * SECOND)", "5 s after the last byte that it took"),
    ("watchdog_client.c", "BACKOFF_FIRST", "(20 * MILLISECOND)", "after 20 ms, doubled up to 2 s"),
    ("watchdog_client.c", "BACKOFF_MAX", "(2 * SECOND)", "after 20 ms, doubled up to 2 s"),
    ("watch_state.h", "PENDING_MAX", "8", "eight of them at a time, two seconds each"),
    ("watch_socket.c", "PENDING_WAIT", "(2 * SECOND)", "eight of them at a time, two seconds each"),
    ("watch_socket.c", "MESSAGES_A_TURN", "8", "No more than eight messages of a shim"),
    ("watch_report.c", "REPORTS_BURST", "300", "limited to 300 at once and one a second"),
    ("watch_socket.c", "RINGS_BURST", "16", "sixteen of a container at once, then one in five minutes"),
    ("watch_socket.c", "RING_INTERVAL", "(300 * SECOND)", "then one in five minutes"),
    ("watch_socket.c", "BIND_WAIT", "SECOND", "it tries every second"),
    ("watch.c", "DRAIN_WAIT", "(300 * MILLISECOND)", "never; 300 ms at its own end"),
    ("sidecar_lifecycle.c", "NATIVE_LEFT", "(1500 * MILLISECOND)", "connected shims after SIGTERM | 1.5 s |"),
    ("sidecar_lifecycle.c", "CLASSIC_LEFT", "(2 * SECOND)", "grace − 2 s (half of it below 4 s)"),
    ("flush.c", "PING_WAIT", "(500 * MILLISECOND)", "names no container | 500 ms |"),
    ("install.c", "SECONDS_MAX", "3", "| install | everything | 3 s |"),
    ("protocol.h", "TAIL_MAX", "((size_t)32 * 1024)", "up to 32 KiB of output"),
    ("protocol.h", "PROTOCOL_LAYOUT", "1", "`layout` is 1 in both"),
    ("protocol.h", "PROTOCOL_VERSION", "2", "The reason for version 2"),
    ("protocol.h", "PROTOCOL_SOCKET", '"lastword"', '`"\\0lastword"`'),
    ("../lib/kube/names.h", "CLASSIC_WAIT", '"10s"', "from the start, 10 s as injected"),
])
def test_bound(file, constant, value, words):
    defined = re.search(rf"^#define {constant}\s+(.*?)(?:\s*/\*.*)?$", source(file), re.M).group(1)
    assert defined == value and words in DOCUMENT
