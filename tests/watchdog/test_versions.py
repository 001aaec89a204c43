"""A shim and a watchdog of different versions: a restarted sidecar may have a newer image than the
shim, and the other way round. Version 1 is encoded here: its record has no version, its watchdog
answers with REFUSED and ACK and knows no record of another layout."""
import signal
import subprocess
import time

import pytest

from conftest import HANG, LETTERS, PROGRAM, TALK, VICTIM, WATCHDOG_USER, wait_until
from strangers import EXIT, FLUSH, HELLO, TAIL, WELCOME, message

VERSION_1 = """
import array, fcntl, mmap, os, socket, struct, sys, threading
HELLO, WELCOME, REFUSED, TAIL, EXIT, ACK, FLUSH = 1, 2, 3, 7, 8, 9, 10
KNOWN = range(1, 12)
MODE = sys.argv[1]
SIZE = 65536

def make(kind):
    return struct.pack("=IHH", 0x31775761, 1, kind) + bytes(144)

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def ring():
    fd = os.memfd_create("lastword", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.posix_fallocate(fd, 0, 64 + SIZE)
    memory = mmap.mmap(fd, 64 + SIZE)
    memory[:16] = struct.pack("=IIQ", 0x676e694c, 1, SIZE)
    fcntl.fcntl(fd, 1033, 7)  # F_ADD_SEALS: against sealing, shrinking, growing
    return fd, memory

def serve(peer):
    memory, tail = None, b""
    while data := peer.recv(65536):
        magic, version, kind = struct.unpack("=IHH", data[:8])
        if len(data) < 152 or magic != 0x31775761 or version != 1 or kind not in KNOWN:
            say("garbage")
            break
        say("got", kind)
        if kind == HELLO and MODE == "refuses":
            peer.send(make(REFUSED))
            break
        if kind == HELLO and MODE == "ring":
            fd, memory = ring()
            peer.sendmsg([make(WELCOME)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                            array.array("i", [fd]).tobytes())])
            os.close(fd)
        elif kind == HELLO:
            peer.send(make(WELCOME))
        elif kind == TAIL:
            tail = data[152:]
        elif kind == FLUSH:
            peer.send(make(ACK))
            break
        elif kind == EXIT:
            total = struct.unpack("=Q", data[144:152])[0]
            if memory and not tail:  # a TAIL came of a command that ended before WELCOME was read
                committed = struct.unpack("=Q", memory[24:32])[0]
                assert committed == total
                tail = b"".join(memory[64 + i % SIZE:65 + i % SIZE]
                                for i in range(max(0, total - 100), total))
            say("exit", struct.unpack("=i", data[80:84])[0], total, tail[-30:])
            peer.send(make(ACK))
            break
    peer.close()

listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind("\\0lastword")
listener.listen(9)
say("there")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def old_watchdog(pod):
    def start(mode):
        process = pod.start(("/usr/bin/python3", "-c", VERSION_1, mode), WATCHDOG_USER,
                            stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"there\n"
        return process
    return start


@pytest.mark.parametrize("mode", ["ring", "no-ring"])
def test_shim_with_a_watchdog_of_version_1(pod, old_watchdog, mode):
    watchdog = old_watchdog(mode)
    code, out, _ = pod.run(*TALK, flags=("--watchdog-uid", str(WATCHDOG_USER)))
    assert (code, out) == (7, LETTERS)
    lines = [watchdog.stdout.readline().decode() for _ in range(2)]
    if lines[1] == f"got {TAIL}\n":  # in any mode, if it ended before WELCOME came
        lines[1] = watchdog.stdout.readline().decode()
    assert lines == [f"got {HELLO}\n", f"got {EXIT}\n"]
    kind, code, total, tail = watchdog.stdout.readline().decode().split(" ", 3)
    assert (kind, code, int(total)) == ("exit", "7", len(LETTERS) + len(b"said it\n"))


def test_ring_of_a_watchdog_of_version_1(pod, old_watchdog):
    """What is written after the WELCOME is in its ring."""
    watchdog = old_watchdog("ring")
    process = pod.shim("sh", "-c", "echo one; read x; echo two; exit 6", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"one\n"
    wait_until(lambda: "memfd:lastword" in open(f"/proc/{process.pid}/maps").read(), "the ring")
    process.communicate(b"\n", timeout=HANG)
    assert [watchdog.stdout.readline() for _ in range(3)] == \
        [b"got 1\n", b"got 8\n", b"exit 6 8 b'one\\ntwo\\n'\n"]


def test_shim_that_a_watchdog_of_version_1_refuses(pod, old_watchdog):
    """It tries again; the command does not notice."""
    watchdog = old_watchdog("refuses")
    process = pod.shim("sh", "-c", "echo one; read x; exit 6", stdin=subprocess.PIPE)
    assert [watchdog.stdout.readline() for _ in range(3)] == [b"got 1\n"] * 3
    out, err = process.communicate(b"\n", timeout=HANG)
    assert (process.returncode, out, err) == (6, b"one\n", b"")


def test_flush_with_a_watchdog_of_version_1(pod, old_watchdog):
    watchdog = old_watchdog("ring")
    start = time.monotonic()
    hook = pod.start((PROGRAM, "flush", "--name", "main", "--grace", f"{10 * HANG}s"))
    assert hook.wait(timeout=HANG) == 0
    assert watchdog.stdout.readline() == b"got %d\n" % FLUSH
    assert time.monotonic() - start < HANG


CLIENT = """
import array, os, socket, struct, sys, time
def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("\\0lastword")
    s.settimeout(20)
    return s
def received(s):
    try:
        data, control, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(4))
    except ConnectionError:
        return "closed"
    if not data:
        return "closed"
    return "%d of layout %d with %d" % (data[6] | data[7] << 8, data[4] | data[5] << 8,
                                        len(control))
"""


@pytest.mark.parametrize("version", [0, 2])
def test_watchdog_with_clients_of_both_versions(pod, version):
    """WELCOME comes with a ring and in the layout that version 1 understands; nothing else comes but
    the end of the connection, which version 1 takes for an answer as well."""
    watch = pod.watch("--mode", "native")
    hello, leave, flush = (message(kind, version=version) for kind in (HELLO, 11, FLUSH))
    end = message(EXIT, version=version, ended=1, exit_code=9, total=3)
    tail = message(TAIL, version=version, total=3) + b"end"
    process = pod.start(("/usr/bin/python3", "-c", CLIENT +
                         f"s = connect(); s.send({hello!r}); print(received(s))\n"
                         f"t = connect(); t.send({hello!r}); print(received(t))\n"
                         f"t = connect(); t.send({flush!r}); print(received(t))\n"
                         f"s.send({end!r}); print(received(s))\n"
                         "for i in range(20):\n"
                         f"    s = connect(); s.send({hello!r}); s.send({leave!r})\n"
                         "    while received(s) != 'closed': pass\n"
                         f"s = connect(); s.send({hello!r}); s.send({tail!r}); s.send({end!r})\n"
                         "print(received(s))\n"), user=4000, stdout=subprocess.PIPE)
    assert process.communicate(timeout=HANG)[0].decode().splitlines() == \
        [f"{WELCOME} of layout 1 with 1", "closed", "closed", "closed", "closed"]
    assert [watch.next()["event"] for _ in range(3)] == ["flush", "end", "end"]
    assert [line.get("exit_code") for line in watch.lines] == [None, 9, 9]
    assert watch.lines[2]["log_tail"] == "end"
    assert pod.run(VICTIM, "exit", "4")[0] == 4 and watch.next()["exit_code"] == 4
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0
