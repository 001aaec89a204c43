"""A pod without Kubernetes: a network namespace (that is what containers of a pod share), programs
of the build in it as separate processes and users, everything gone at the end."""
import atexit
import errno
import itertools
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from waiting import HANG, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build")).resolve()
# Other users execute them too, wherever the tree is.
PROGRAMS = pathlib.Path(tempfile.mkdtemp(prefix="lastword-test-"))
PROGRAMS.chmod(0o755)
atexit.register(shutil.rmtree, PROGRAMS)
PROGRAM = shutil.copy(BUILD / "bin/lastword-watchdog", PROGRAMS)
VICTIM = shutil.copy(BUILD / "tests/victim", PROGRAMS)
FAULT = shutil.copy(BUILD / "tests/fault", PROGRAMS)
JUMPING = shutil.copy(BUILD / "tests/watchdog-with-jumping-clock", PROGRAMS)
WATCHDOG_USER = 65511
AGENT_USER = 1000
SANITIZED = "asan" in BUILD.parts
collect_ignore = ["test_faults.py", "test_program.py"] if SANITIZED else []  # they say why

CALLS = {name: int(number) for name, number in re.findall(
    r"#define __NR_(\w+) (\d+)",
    pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").read_text())}
# What a pipe's RWF_NOWAIT is for Linux before 6.4: then the shim goes by tee(2).
OLD_KERNEL = (FAULT, "deny", str(errno.EOPNOTSUPP), str(CALLS["pwritev2"]), "--")

# A command whose output is longer than a pipe: the shim has to carry it in several pieces.
LENGTH = 80_000
TALK = (VICTIM, "talk", str(LENGTH), "7")
LETTERS = (bytes(ord("a") + i % 23 for i in range(32768)) * (LENGTH // 32768 + 1))[:LENGTH]

numbers = itertools.count()


def as_user(user, *more):
    if user is None:
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *more]


def as_process_1(user=None):
    """The command after it becomes the first of a PID namespace that dies with this process. (The
    parent-death signal is lost with a change of user, so it is set again.)"""
    return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child",
            *as_user(user, "--pdeathsig", "KILL")]


class Watch:
    """A running watchdog; its lines as they come."""

    def __init__(self, process):
        self.process = process
        self.pid = process.pid
        self.lines = []
        self._queue = queue.Queue()
        self._errors = []
        self._threads = [threading.Thread(target=self._read, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for thread in self._threads:
            thread.start()

    def _read(self):
        for raw in self.process.stdout:
            assert raw.endswith(b"\n") and len(raw) <= 16000, len(raw)
            line = json.loads(raw)
            self.lines.append(line)
            self._queue.put(line)
        self._queue.put(None)

    def _read_errors(self):
        for raw in self.process.stderr:
            self._errors.append(raw.decode(errors="replace"))

    @property
    def errors(self):
        return "".join(self._errors)

    def next(self, seconds=HANG):
        """The next line that nobody has asked for; None: it has ended."""
        return self._queue.get(timeout=seconds)

    def signal(self, number):
        os.kill(self.pid, number)

    def ended(self, seconds=HANG):
        """Its exit code, when all its lines are read."""
        code = self.process.wait(timeout=seconds)
        for thread in self._threads:
            thread.join(timeout=HANG)
        return code


class Pod:
    def __init__(self):
        self.processes = []
        self.watches = 0
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"],
                                       stdin=subprocess.DEVNULL)
        ours = os.readlink("/proc/self/ns/net")
        self.namespace = f"/proc/{self.holder.pid}/ns/net"
        wait_until(lambda: os.readlink(self.namespace) != ours, "a network namespace")

    def enter(self, user=None):
        return ["nsenter", f"--net={self.namespace}", "--", *as_user(user)]

    def start(self, command, user=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([*self.enter(user), *map(str, command)], **options)
        self.processes.append(process)
        return process

    def watch(self, *flags, user=WATCHDOG_USER, listening=True, environment=None, program=PROGRAM,
              **options):
        """A watchdog; returns when its socket is there."""
        if not any(str(f).startswith("--container") for f in flags):
            flags = ("--container", "main", *flags)
        before = self.sockets()
        watch = Watch(self.start([program, "watch", *flags], user, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE,
                                 env={**os.environ, **(environment or {})}, **options))
        if listening:
            wait_until(lambda: self.sockets() > before or watch.process.poll() is not None,
                       "the socket")
        return watch

    def sockets(self):
        """How many listen on the abstract socket."""
        text = pathlib.Path(f"/proc/{self.holder.pid}/net/unix").read_text()
        return sum(line.split()[3] == "00010000" and line.endswith(" @lastword")
                   for line in text.splitlines())

    def shim(self, *command, flags=(), name="main", user=AGENT_USER, process_1=False,
             program=PROGRAM, before=(), **options):
        """The shim with the command. process_1: as the first of a PID namespace. before: what starts
        it."""
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        words = [*before, program, "run", "--name", name, *flags, "--", *command]
        if process_1:
            words = [*as_process_1(user), *words]
            user = None
        return self.start(words, user, **options)

    def run(self, *command, timeout=HANG, **options):
        """The same until its end: exit code, stdout, stderr."""
        process = self.shim(*command, **options)
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err

    def stop(self):
        for process in [*self.processes, self.holder]:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr, process.stdin):
                if stream:
                    stream.close()


@pytest.fixture
def pod():
    pod = Pod()
    yield pod
    pod.stop()


def children(pid):
    """Process ids of the children."""
    try:
        return [int(word) for word in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def only_child(pid):
    return wait_until(lambda: children(pid), f"a child of {pid}")[0]


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)


def without_ours(err):
    """What the command wrote to stderr: all but lines of ours."""
    return b"".join(line for line in err.splitlines(True) if not line.startswith(b"lastword: "))


def finish(process):
    """Its code, as shells tell it, and its output; a hang is killed, and a failure."""
    try:
        out, err = process.communicate(timeout=HANG)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode if process.returncode >= 0 else 128 - process.returncode, out, err


@pytest.fixture
def socket_name():
    """Of its own for a test: no namespace is needed."""
    return f"lastword-test-{os.getpid()}-{next(numbers)}"


def listens(name):
    return f"@{name}\n" in pathlib.Path("/proc/net/unix").read_text()
