"""Signals: as the first process of a container the command notices what it would have noticed
without the shim; anywhere else it gets what was sent. Each case is played bare and wrapped."""
import concurrent.futures
import ctypes
import os
import pathlib
import pty
import select
import signal
import subprocess
import time

import pytest

from conftest import (AGENT_USER, HANG, PROGRAM, SANITIZED, VICTIM, as_process_1, as_user, children,
                      kill, only_child, wait_until)

LIBC = ctypes.CDLL(None, use_errno=True)
# Nobody can take these two. CHLD: the shim cannot tell one that was sent from its child's.
NOT_SENT = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
# C libraries keep these two for themselves: no handler, but they can be blocked and ignored.
LIBRARY_OWN = {32, 33}


def namespaced(*command, user=AGENT_USER):
    """The command as process 1, in a PID namespace as a container has it."""
    return subprocess.Popen([*as_process_1(user), *command], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def shim(*command, flags=()):
    return (PROGRAM, "run", "--name", "main", "--socket", "nobody", *flags, "--", *command)


def end(process):
    out, err = process.communicate(timeout=HANG)
    assert b"sanitizer" not in err.lower(), err.decode()
    return process.returncode, out


def play(command, number, value=None):
    process = namespaced(*command)
    assert process.stdout.readline() == b"ready\n"
    first = only_child(process.pid)
    if value is None:
        kill(first, number)
    else:
        assert LIBC.sigqueue(first, number, ctypes.c_void_p(value)) == 0
    return end(process)


def held(how, number, milliseconds):
    return VICTIM, "hold", how, str(number), str(milliseconds)


@pytest.mark.parametrize("how", ["default", "ignore", "handle", "block"])
def test_process_1_bare_and_wrapped(how):
    """All 64 signals from outside the namespace, as a runtime sends them."""
    numbers = [n for n in range(1, 65) if n not in NOT_SENT]
    if how == "handle":
        numbers = [n for n in numbers if n not in LIBRARY_OWN]
    if SANITIZED:  # its starts are slow, and its code is the same for all
        numbers = numbers[::6] + [signal.SIGTERM, 64]
    stays = 1000  # milliseconds, where nothing is to happen; it must be seen before it ends
    wait = HANG * 1000 if how in ("handle", "block") else stays

    def both(number):
        command = held(how, number, wait)
        return play(command, number), play(shim(*command), number)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number, (bare, wrapped) in zip(numbers, pool.map(both, numbers)):
            assert wrapped == bare, (how, number)
            noticed = (42, b"got %d 0\n" % number)
            assert bare == (noticed if how in ("handle", "block") else (0, b"")), number


def test_documented_differences_of_process_1():
    """What it does to itself: docs/watchdog.md, "What is different"."""
    for command, bare, wrapped in (
            ((VICTIM, "abort", "-"), 128 + signal.SIGSEGV, 128 + signal.SIGABRT),
            ((VICTIM, "kill", str(int(signal.SIGSEGV))), 0, 128 + signal.SIGSEGV),
            ((VICTIM, "kill", str(int(signal.SIGTERM))), 0, 128 + signal.SIGTERM)):
        codes = [end(namespaced(*words))[0] for words in (command, shim(*command))]
        # unshare tells the signal that ended its child by ending with it.
        assert [128 - code if code < 0 else code for code in codes] == [bare, wrapped], command


def test_output_past_the_shim():
    """Scripts write to process 1's stdout by its name in /proc: it still comes out."""
    command = shim("sh", "-c", "echo past > /proc/1/fd/1; echo through")
    code, out = end(namespaced(*command, user=None))
    assert code == 0 and sorted(out.splitlines()) == [b"past", b"through"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1,
                                    34, 64])
def test_not_process_1(number):
    """Elsewhere a signal's default ends the command, and so the shim."""
    process = subprocess.Popen(shim(*held("default", number, HANG * 1000)), stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    kill(process.pid, number)
    assert end_plain(process) == 128 + number


def end_plain(process):
    process.communicate(timeout=HANG)
    return process.returncode


def test_queued_values_arrive():
    for number in (signal.SIGUSR1, 40):
        command = held("handle", number, HANG * 1000)
        assert play(command, number, 4711) == (42, b"got %d 4711\n" % number)
        assert play(shim(*command), number, 4711) == (42, b"got %d 4711\n" % number)


def test_output_beside_a_flood_of_signals():
    """That process 1 takes one at a time: the shim looks at each for a while."""
    script = ("import os,signal,subprocess,threading,time\n"
              "signal.pthread_sigmask(signal.SIG_BLOCK, {10, 12})\n"
              "def take():\n"
              "    while True: signal.sigwait({10, 12})\n"
              "threading.Thread(target=take, daemon=True).start()\n"
              "flood = 'while :; do kill -USR1 1; kill -USR2 1; done'\n"
              "subprocess.Popen(['bash', '-c', flood])\n"
              "os.write(1, b'x' * 200_000)\n")
    assert end(namespaced(*shim("/usr/bin/python3", "-c", script))) == (0, b"x" * 200_000)


def test_signal_that_is_pending_at_the_start():
    """It survives exec: the shim hands it on, and observes the command all the same."""
    def raise_it():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)

    command = ("/usr/bin/python3", "-c", "import signal; print(signal.sigwait({signal.SIGUSR1}))")
    for words in (command, shim(*command)):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=raise_it)
        out, err = process.communicate(timeout=HANG)
        assert (process.returncode, out, err) == (0, b"10\n", b"")


def test_sigterm_beside_a_flood_of_signals():
    """Of lower numbers, which the kernel hands out first, and which the agent blocks: each takes the
    shim a while."""
    script = ("import os,signal,subprocess,sys\n"
              "signal.pthread_sigmask(signal.SIG_BLOCK, {*range(1, 9), 10, 12})\n"
              "signal.signal(signal.SIGTERM, lambda *a: os._exit(42))\n"
              "flood = 'while :; do for i in 1 2 3 4 5 6 7 8 10 12; do kill -$i 1; done; done'\n"
              "for i in range(2): subprocess.Popen(['bash', '-c', flood])\n"
              "print('ready', flush=True)\n"
              "while True: signal.pause()\n")
    process = namespaced(*shim("/usr/bin/python3", "-c", script))
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    kill(only_child(process.pid), signal.SIGTERM)
    assert end(process) == (42, b"")


WITHOUT_CAP_KILL = ("setpriv", "--bounding-set=-kill", "--inh-caps=-kill")


def test_command_that_changes_its_user():
    """A root with few capabilities, as su-exec in an entrypoint wants it: kill(2) is denied."""
    command = (*as_user(AGENT_USER), *held("handle", signal.SIGTERM, HANG * 1000))
    for words in (command, shim(*command)):
        process = namespaced(*WITHOUT_CAP_KILL, *words, user=None)
        assert process.stdout.readline() == b"ready\n"
        kill(only_child(process.pid), signal.SIGTERM)
        assert end(process) == (42, b"got 15 0\n")
    killing = ("--deadline", "300ms", "--on-deadline", "kill", "--grace", "300ms")
    command = (*as_user(AGENT_USER), *held("ignore", signal.SIGTERM, HANG * 1000))
    process = namespaced(*WITHOUT_CAP_KILL, *shim(*command, flags=killing), user=None)
    assert end(process) == (128 + signal.SIGKILL, b"ready\n")


def test_killed_shim_takes_the_command_with_it():
    process = subprocess.Popen(shim(VICTIM, "hold", "default", "10", str(HANG * 1000)),
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    command = only_child(process.pid)
    kill(process.pid)
    assert end_plain(process) == -signal.SIGKILL
    wait_until(lambda: not alive(command), "the command's end")


def state(pid):
    """The letter of /proc/PID/stat; None when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def alive(pid):
    return state(pid) not in (None, "Z")


def test_stopped_and_continued_command():
    """A stopped command does not end the shim; continued it goes on."""
    process = subprocess.Popen(shim(VICTIM, "hold", "handle", "10", str(HANG * 1000)),
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    command = only_child(process.pid)
    kill(command, signal.SIGSTOP)
    wait_until(lambda: state(command) == "T", "its being stopped")
    kill(process.pid, signal.SIGUSR1)
    time.sleep(0.05)
    assert process.poll() is None
    kill(command, signal.SIGCONT)
    out, _ = process.communicate(timeout=HANG)
    assert (process.returncode, out) == (42, b"got 10 0\n")


def test_stopped_shim():
    """The command does not notice; what was sent meanwhile comes when the shim goes on."""
    process = subprocess.Popen(shim(VICTIM, "hold", "handle", "10", str(HANG * 1000)),
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    command = only_child(process.pid)
    kill(process.pid, signal.SIGSTOP)  # the shim itself; the command goes on
    wait_until(lambda: state(process.pid) == "T", "its being stopped")
    assert state(command) in "SR"
    kill(process.pid, signal.SIGCONT)
    kill(process.pid, signal.SIGUSR1)
    assert end_plain(process) == 42


@pytest.mark.parametrize("process_1", [True, False])
def test_orphans_are_reaped(process_1):
    """Grandchildren whose parent is gone become the shim's, and leave no zombies."""
    script = ("for i in 1 2 3 4 5; do (sh -c 'sleep 0.05 & exec sleep 0.02' &) ; done; "
              "echo started; read line")
    command = shim("bash", "-c", script)
    if process_1:
        process = subprocess.Popen([*as_process_1(), *command], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"started\n"
        pid = only_child(process.pid)
    else:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"started\n"
        pid = process.pid
    wait_until(lambda: len(children(pid)) == 1, "the orphans' end")
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert end_plain(process) == 0


def test_children_from_before_the_shim():
    """Of the shell that became it: reaped as orphans are, and its work is done all the same."""
    words = " ".join(shim("sh", "-c", "'echo ready; read x; exit 5'"))
    process = subprocess.Popen(["bash", "-c", f"sleep 60 & sleep 0 & sleep 0.1; exec {words}"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    wait_until(lambda: len(children(process.pid)) == 2, "the end of the short one")
    other, command = children(process.pid)
    assert alive(other) and alive(command)
    kill(other)
    wait_until(lambda: children(process.pid) == [command], "the end of the other one")
    _, err = process.communicate(b"\n", timeout=HANG)
    assert (process.returncode, err) == (5, b"")


def test_daemon_that_outlives_the_command():
    """A shim that is not process 1 leaves it alone; process 1 takes the namespace down with it."""
    done = subprocess.run(shim("sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $!"),
                          capture_output=True, timeout=HANG)
    daemon = int(done.stdout)
    assert done.returncode == 0 and alive(daemon)
    kill(daemon)


def test_sessions_and_groups():
    """The command leads a process group of its own; as process 1 of a container a session too."""
    script = "import os; print(os.getpid() == os.getpgid(0), os.getpid() == os.getsid(0))"
    here = subprocess.run(shim("python3", "-c", script), capture_output=True, timeout=HANG)
    assert here.stdout == b"True False\n"
    leader = subprocess.run(["setsid", *shim("python3", "-c", script)], capture_output=True,
                            timeout=HANG)
    assert leader.stdout == b"True True\n"


# ---- a terminal ----

class Terminal:
    """A session with the shim in the foreground of a terminal, as kubectl run -it has it."""

    def __init__(self, *command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)
        self.text = b""

    def until(self, words):
        end_time = time.monotonic() + HANG
        while words not in self.text:
            assert time.monotonic() < end_time, self.text
            ready, _, _ = select.select([self.fd], [], [], 1)
            if ready:
                try:
                    self.text += os.read(self.fd, 4096)
                except OSError:
                    break
        assert words in self.text, self.text

    def code(self):
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_terminal_is_the_commands():
    script = ("import os,sys; print(os.isatty(0), os.isatty(1), os.isatty(2),"
              " os.tcgetpgrp(0) == os.getpgrp()); sys.stdout.flush();"
              " print('read', input()); sys.exit(9)")
    terminal = Terminal(*shim("/usr/bin/python3", "-c", script))
    terminal.until(b"True True True True")
    os.write(terminal.fd, b"typed\n")
    terminal.until(b"read typed")
    assert terminal.code() == 9


def test_silence_on_a_terminal_is_not_judged():
    """The shim does not see what is printed there: it neither tells nor kills."""
    script = "for i in 1 2 3 4 5; do echo word $i; sleep 0.2; done; exit 9"
    terminal = Terminal(*shim("/bin/sh", "-c", script,
                              flags=("--silence-after", "300ms", "--on-silence", "kill")))
    terminal.until(b"word 5")
    assert terminal.code() == 9


def test_interrupt_from_the_terminal():
    terminal = Terminal(*shim(*held("handle", signal.SIGINT, HANG * 1000)))
    terminal.until(b"ready")
    os.write(terminal.fd, b"\x03")
    terminal.until(b"got 2 0")
    assert terminal.code() == 42


def test_stop_key_without_a_shell():
    """Ctrl-Z where the command was the first of its session, as in a container: it goes on."""
    for prefix in ((), shim()):
        terminal = Terminal("/usr/bin/env", *prefix, *held("handle", signal.SIGINT, HANG * 1000))
        terminal.until(b"ready")
        os.write(terminal.fd, b"\x1a")
        time.sleep(0.2)
        os.write(terminal.fd, b"\x03")
        terminal.until(b"got 2 0")
        assert terminal.code() == 42


def test_job_control():
    """Ctrl-Z in a shell stops command and shim; fg continues both."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "prompt> "
        os.execv("/bin/bash", ["bash", "--norc", "-i"])
    terminal = Terminal.__new__(Terminal)
    terminal.pid, terminal.fd, terminal.text = pid, fd, b""
    terminal.until(b"prompt> ")
    os.write(fd, (" ".join(shim(*held("handle", signal.SIGINT, HANG * 1000))) + "\n").encode())
    terminal.until(b"ready")
    os.write(fd, b"\x1a")
    terminal.until(b"Stopped")
    os.write(fd, b"fg\n")
    time.sleep(0.3)
    terminal.text = b""
    os.write(fd, b"\x03")
    terminal.until(b"got 2 0")
    os.write(fd, b"exit $?\n")
    assert terminal.code() == 42
