"""stdout and stderr pass through the shim byte for byte, with the back-pressure of a pipe."""
import fcntl
import hashlib
import os
import pty
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import HANG, OLD_KERNEL, PROGRAM, SANITIZED, as_process_1, wait_until

SHIM = (PROGRAM, "run", "--name", "main", "--socket", "nobody", "--")
# The sanitized build takes this one: its starts are slow.
KERNELS = {"this-kernel": ()} if SANITIZED else {"this-kernel": (), "an-old-one": OLD_KERNEL}
on_every_kernel = pytest.mark.parametrize("shim", [(*before, *SHIM) for before in KERNELS.values()],
                                          ids=KERNELS)


def python(script, *arguments):
    return "/usr/bin/python3", "-c", "import os,sys\n" + script, *arguments


WRITERS = {
    "hundred-megabytes": python("b = os.urandom(1 << 16) * 16\n"
                                "for i in range(100): sys.stdout.buffer.write(b)"),
    "ten-megabytes": python("for i in range(160): os.write(1, os.urandom(1 << 16))"),
    "a-byte-at-a-time": python("for i in range(5000): os.write(1, b'%c' % (i % 251))"),
    "binary": python("os.write(1, bytes(range(256)) * 64)"),
    "a-line-of-a-megabyte": python("os.write(1, b'x' * (1 << 20) + b'\\n')"),
    "ends-in-mid-character": python("os.write(1, 'Grüße €'.encode()[:-1])"),
    "nothing": ("true",),
    "no-line-end": ("printf", "no line end"),
}


class Sink:
    """Something to write to, and what was written to it."""

    def __init__(self, kind, tmp_path):
        self.pieces = []
        self.path = tmp_path / "out"
        if kind == "file":
            self.end = open(self.path, "wb")
            self.reader = None
            return
        if kind == "pipe":
            ours, theirs = os.pipe()
        else:
            ours, theirs = (s.detach() for s in socket.socketpair())
        self.end = open(theirs, "wb", buffering=0)
        self.reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self.reader.start()

    def _read(self, fd):
        with open(fd, "rb", buffering=0) as stream:
            while piece := stream.read(1 << 16):
                self.pieces.append(piece)

    def content(self):
        if self.reader is None:
            return self.path.read_bytes()
        self.reader.join(HANG)
        return b"".join(self.pieces)


@pytest.mark.parametrize("before", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("to,name", [(to, name) for name in WRITERS
                                     for to in ("pipe", "file", "socket")
                                     if name != "hundred-megabytes" or
                                     (to == "pipe" and not SANITIZED)])
def test_bytes(name, to, before, tmp_path, pod):
    """The same bytes come out, and the watchdog has counted them."""
    watch = pod.watch("--mode", "classic", "--restart-policy", "Never")
    sink = Sink(to, tmp_path)
    process = pod.shim("sh", "-c", '"$@" | tee "$0"', str(tmp_path / "copy"), *WRITERS[name],
                       user=None, before=before, stdout=sink.end, stderr=None)
    sink.end.close()
    assert process.wait(timeout=HANG) == 0
    out, copy = sink.content(), (tmp_path / "copy").read_bytes()
    assert len(out) == len(copy) and hashlib.sha256(out).digest() == hashlib.sha256(copy).digest()
    line = watch.next()
    assert line["event"] == "end" and line["log_bytes_total"] == len(copy)
    if name == "ends-in-mid-character":
        assert line["log_tail"] == "Grüße \ufffd\ufffd"
    if name == "hundred-megabytes":
        assert len(copy) == 100 << 20
    assert watch.ended() == 0


def test_two_streams_stay_two():
    done = subprocess.run([*SHIM, *python("os.write(1, b'out'); os.write(2, b'err')")],
                          capture_output=True, timeout=HANG)
    assert (done.stdout, done.stderr) == (b"out", b"err")


def test_one_file_keeps_the_order(tmp_path):
    """2>&1: what is written in turn comes out in turn."""
    script = python("for i in range(2000): os.write(1 + i % 2, b'%d\\n' % i)")
    wanted = b"".join(b"%d\n" % i for i in range(2000))
    done = subprocess.run([*SHIM, *script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=HANG)
    assert done.stdout == wanted
    with open(tmp_path / "log", "ab") as log:
        log.write(b"before\n")
        log.flush()
        subprocess.run([*SHIM, *script], stdout=log, stderr=log, timeout=HANG, check=True)
    assert (tmp_path / "log").read_bytes() == b"before\n" + wanted


@on_every_kernel
def test_back_pressure(shim):
    """A reader that does not read stops the command; nothing is kept for it but what pipes hold."""
    script = python("n = 0\nos.set_blocking(1, True)\n"
                    "while n < 50 << 20: n += os.write(1, b'x' * 4096); os.write(2, b'.')")
    process = subprocess.Popen([*shim, *script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wrote = len(process.stderr.read(1))  # it has started
    os.set_blocking(process.stderr.fileno(), False)
    still = time.monotonic()
    while time.monotonic() < still + 0.4:
        try:
            wrote += len(os.read(process.stderr.fileno(), 1 << 16))
            still = time.monotonic()
        except BlockingIOError:
            time.sleep(0.02)
    assert 0 < wrote * 4096 <= 256 * 1024
    os.set_blocking(process.stderr.fileno(), True)
    out, _ = process.communicate(timeout=HANG)
    assert len(out) == 50 << 20 and process.returncode == 0


@on_every_kernel
@pytest.mark.parametrize("process_1", [False, True])
def test_grandchild_that_keeps_the_pipe(process_1, shim):
    """The shim does not wait for it; what the command had written by then is there."""
    script = "sleep 30 & echo $!; head -c 60000 /dev/zero; exit 5"
    start = time.monotonic()
    prefix = as_process_1() if process_1 else []
    process = subprocess.Popen([*prefix, *shim, "bash", "-c", script], stdout=subprocess.PIPE)
    daemon = int(process.stdout.readline())
    rest = process.stdout.read()
    assert process.wait(timeout=HANG) == 5
    assert len(rest) == 60000
    assert time.monotonic() - start < 20
    if not process_1:
        os.kill(daemon, signal.SIGKILL)


@on_every_kernel
@pytest.mark.parametrize("size", [16, 1 << 16])
def test_waiting_for_a_reader_is_no_silence(shim, size):
    """Nor is the moment in which it reads on; what follows it is."""
    script = python("sys.stdin.read(1)\n"
                    f"for i in range((1 << 20) // {size}): os.write(1, b'x' * {size})\n"
                    "os.write(2, b'said')\nimport time; time.sleep(99)")
    words = (*shim[:-1], "--silence-after", "3s", "--on-silence", "kill", "--")
    process = subprocess.Popen([*words, *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdin.write(b"\n")
    process.stdin.flush()
    time.sleep(4)  # longer than the silence, which begins with the start of the command
    out, err = process.communicate(timeout=HANG)
    assert (len(out), err, process.returncode) == (1 << 20, b"said", 128 + signal.SIGTERM)


@on_every_kernel
def test_reader_that_goes_away(shim):
    """The command gets the SIGPIPE, or the EPIPE, that it would have got."""
    for ignored, expected in ((False, 128 + signal.SIGPIPE), (True, 32)):
        script = python(f"import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_"
                        f"{'IGN' if ignored else 'DFL'})\n"
                        "try:\n while True: os.write(1, b'x' * 1000)\n"
                        "except OSError as e: os._exit(e.errno)")
        process = subprocess.Popen([*shim, *script], stdout=subprocess.PIPE)
        process.stdout.read(5000)
        process.stdout.close()
        assert process.wait(timeout=HANG) == expected


@on_every_kernel
def test_reader_that_never_reads(shim):
    """A command that has ended is not held for ever by a stuck reader: 5 s."""
    process = subprocess.Popen([*shim, *python("import fcntl\nos.set_blocking(1, False)\n"
                                               "try:\n while True: os.write(1, b'x' * 100)\n"
                                               "except BlockingIOError: os._exit(3)")],
                               stdout=subprocess.PIPE)
    assert process.wait(timeout=HANG) == 3


@pytest.fixture
def stuck():
    """The write end of a pipe that is full, and that nobody reads."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(theirs, b"x" * size)
        except BlockingIOError:
            pass
    os.set_blocking(theirs, True)
    yield theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("words,code", [(("--nonsense", "--", "true"), 0),
                                        (("--", "/no/such/program"), 127),
                                        (("--done-file", "/no/such/place", "--", "true"), 0)])
def test_lines_of_ours_wait_for_nobody(words, code, stuck):
    """Neither the command's start nor its end hangs on who should read what we have to say."""
    start = time.monotonic()
    done = subprocess.run([*SHIM[:-1], *words], stderr=stuck, stdin=subprocess.DEVNULL,
                          timeout=HANG)
    assert done.returncode == code
    assert time.monotonic() - start < HANG / 2


def test_watchdog_whose_stderr_is_stuck(pod, stuck):
    """It has something to complain of (the flag), and does its work all the same."""
    watch = pod.start((PROGRAM, "watch", "--nonsense", "--container", "main", "--mode", "classic",
                       "--restart-policy", "Never"), stdout=subprocess.PIPE, stderr=stuck)
    wait_until(pod.sockets, "the socket")
    assert pod.run("sh", "-c", "exit 6")[0] == 6
    out, _ = watch.communicate(timeout=HANG)
    assert watch.returncode == 0 and b'"exit_code":6' in out


def test_full_disk():
    """An error that only the shim sees is said once; the command goes on."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*SHIM, *python("for i in range(3): os.write(1, b'x'); "
                                              "import time; time.sleep(0.05)\nos._exit(4)")],
                              stdout=full, stderr=subprocess.PIPE, timeout=HANG)
    assert done.returncode == 4
    assert done.stderr == b"lastword: cannot write the command's output, it is lost: No space left on device\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_descriptors_stay_closed(closed, tmp_path):
    """And nothing of ours takes their places."""
    script = ("r = [i for i in range(20) if os.path.exists(f'/proc/self/fd/{i}')]\n"
              "open(sys.argv[1], 'w').write(repr(r))")
    for prefix in ([], SHIM):
        command = [*prefix, *python(script, str(tmp_path / f"seen{len(prefix)}"))]
        def close():
            for fd in closed:
                os.close(fd)
        subprocess.run(command, preexec_fn=close, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=HANG,
                       check=True)
    # Python itself fills 0, 1 and 2 when it starts without them.
    assert (tmp_path / f"seen{len(SHIM)}").read_text() == (tmp_path / "seen0").read_text()


def test_flags_of_a_shared_stdout_are_left_alone():
    """stdout is shared with other processes: it stays blocking."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen([*SHIM, "sh", "-c", "echo x; read line"], stdout=write_end,
                               stdin=subprocess.PIPE)
    assert os.read(read_end, 10) == b"x\n"
    assert not fcntl.fcntl(write_end, fcntl.F_GETFL) & os.O_NONBLOCK
    process.communicate(b"\n", timeout=HANG)
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("words", [(), SHIM], ids=["bare", "wrapped"])
def test_stdin_that_the_command_has_closed(words):
    """Whoever writes to it is told, as without the shim, which keeps it open for nobody."""
    script = "read x; echo $x; exec <&-; echo closed; exec sleep 60"
    process = subprocess.Popen([*words, "sh", "-c", script], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    process.stdin.write(b"first\n")
    process.stdin.flush()
    assert [process.stdout.readline() for _ in range(2)] == [b"first\n", b"closed\n"]

    def sees_it():
        try:
            os.write(process.stdin.fileno(), b"x")
        except BrokenPipeError:
            return True
    wait_until(sees_it, "EPIPE")
    process.terminate()
    process.communicate(timeout=HANG)


def test_output_to_a_terminal_is_not_captured(pod):
    """A program looks different on a terminal: it stays on it."""
    watch = pod.watch("--mode", "classic", "--restart-policy", "Never")
    master, slave = pty.openpty()
    process = pod.start((PROGRAM, "run", "--name", "main", "--", "sh", "-c", "test -t 1 && echo y"),
                        stdout=slave)
    assert process.wait(timeout=HANG) == 0
    os.close(slave)
    assert os.read(master, 100) == b"y\r\n"
    os.close(master)
    line = watch.next()
    assert (line["exit_code"], line["log_bytes_total"], line["log_tail"]) == (0, 0, "")
    assert watch.ended() == 0
