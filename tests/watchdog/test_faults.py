"""Whatever the kernel refuses: the command runs, its output and its code come out, nothing hangs.

First the calls of a program are listed by tracing it, then each one fails in turn (the machine was
short of something for a moment), then all of a kind from the start (a seccomp profile). What the
command itself calls is left alone by the tracer; a real seccomp filter denies it to the command
too, so there it is compared with the command alone.

Only the static program is tested here (conftest.py): a sanitizer's runtime makes calls of its own,
and dies of what the program survives.
"""
import concurrent.futures
import errno
import os
import resource
import signal
import subprocess
import tempfile
import time

import pytest

from conftest import (CALLS, FAULT, HANG, LETTERS, OLD_KERNEL, PROGRAM, PROGRAMS, TALK, VICTIM, finish, listens,
                      numbers, only_child, wait_until, without_ours)

NAMES = {number: name for name, number in CALLS.items()}
ERRORS = [errno.EPERM, errno.ENOSYS, errno.ENOMEM, errno.EMFILE, errno.EAGAIN]
ANY = -1
# Of one pod. Each in its turn: the watchdog gives one container only so many rings.
AGENTS = ["main", *(f"main-{i}" for i in range(31))]


class Traced:
    """A command under the tracer, and the calls that it made."""

    def __init__(self, command, error=0, call=ANY, first=0, last=0, before=(), **options):
        self.list = tempfile.NamedTemporaryFile("r", dir=PROGRAMS)
        words = [*before, FAULT, "inject", error, call, first, last, self.list.name, "--", *command]
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                                        **options)

    def calls(self):
        return [NAMES[int(line)] for line in self.list]


def in_turn(cases, play):
    """Plays cases side by side; says which ones went wrong."""
    def one(case):
        try:
            play(case)
            return None
        except Exception as failure:  # whatever it is, the case belongs to it
            return f"{case}: {failure!r}"
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        failures = [failure for failure in pool.map(one, cases) if failure]
    assert not failures, "\n".join(failures)


def each_call(calls):
    """A fault for each call of the list, the errors by turns; a few more, for a list that is longer
    the next time. Without arch_prctl() the C library starts no program."""
    for number in range(1 + (calls[0] == "arch_prctl"), len(calls) + 4):
        yield {"error": ERRORS[number % len(ERRORS)], "first": number, "last": number}


def failed_call(calls, fault):
    """The name of the call that failed."""
    if "call" in fault:
        return NAMES[fault["call"]]
    number = fault.get("first", 0)
    return calls[number - 1] if 0 < number <= len(calls) else None


# ---- run ----

class Run:
    """A way to run the shim: beside which watchdog, where its output goes, how it may end."""

    def __init__(self, tmp_path, socket, *flags, command=TALK, codes=(7,), out=LETTERS,
                 err=b"said it\n", to_file=False, before=()):
        self.tmp_path, self.command, self.before = tmp_path, command, before
        self.flags = ("--socket", socket, *flags)
        self.codes, self.out, self.err, self.to_file = codes, out, err, to_file

    def play(self, **fault):
        """The calls, the code, stdout, stderr."""
        number = next(numbers)
        path = self.tmp_path / f"out{number}"
        words = (PROGRAM, "run", "--name", AGENTS[number % len(AGENTS)], *self.flags)
        with open(path, "wb") as file:
            traced = Traced((*words, "--", *self.command), **fault,
                            before=self.before, stdout=file if self.to_file else subprocess.PIPE,
                            stderr=subprocess.PIPE)
            code, out, err = finish(traced.process)
        if self.to_file:
            out = path.read_bytes()
        path.unlink()
        return traced.calls(), code, out, err

    def check(self, fault):
        calls, code, out, err = self.play(**fault)
        what = failed_call(calls, fault)
        if what == "execve":
            assert (code, out) == (126, b"") and b"cannot execute" in err, err
            return
        assert code in self.codes, (what, code, err)
        # A write that fails loses its bytes, and says so; nothing else does.
        if what == "write" and b"it is lost" in err:
            return
        assert self.out is None or out == self.out, (what, len(out), err)
        assert without_ours(err) == self.err, (what, err)


@pytest.fixture
def watching(socket_name):
    """The name of a socket where a watchdog is."""
    containers = [word for name in AGENTS for word in ("--container", name)]
    process = subprocess.Popen((PROGRAM, "watch", *containers, "--socket", socket_name),
                               stdout=subprocess.DEVNULL)
    wait_until(lambda: listens(socket_name), "the socket")
    yield socket_name
    process.terminate()
    assert process.wait(timeout=HANG) == 0


def play_each(run, *expected):
    calls, code, out, err = run.play()
    assert code in run.codes and out == (run.out or out) and err == run.err, (code, out, err)
    assert set(expected) <= set(calls), sorted(set(calls))
    in_turn(each_call(calls), run.check)


def test_each_call_of_run(tmp_path, watching):
    play_each(Run(tmp_path, watching), "pipe2", "pwritev2", "read", "poll", "wait4", "sendmsg",
              "recvmsg", "mmap", "close", "prctl", "setpgid", "dup2", "signalfd4", "execve")


def test_each_call_of_run_on_an_old_kernel(tmp_path, watching):
    play_each(Run(tmp_path, watching, before=OLD_KERNEL), "pwritev2", "tee", "read")


def test_each_call_of_run_into_a_file(tmp_path, socket_name):
    done = tmp_path / "done"
    play_each(Run(tmp_path, socket_name, "--done-file", str(done), to_file=True), "write", "connect",
              "open")
    assert done.read_text() == "7\n"


def test_each_call_of_a_run_that_kills(tmp_path, watching):
    """Where the shim cannot stand by there is no deadline: the command ends by itself."""
    command = (VICTIM, "hold", "default", str(int(signal.SIGUSR1)), "250")
    flags = ("--deadline", "100ms", "--on-deadline", "kill", "--grace", "50ms")
    play_each(Run(tmp_path, watching, *flags, command=command, out=None, err=b"",
                  codes=(143, 137, 0)), "kill")


def test_several_calls_in_a_row(tmp_path, watching):
    """A kernel that is short of memory for a while, from any moment on."""
    run = Run(tmp_path, watching)
    calls = run.play()[0]
    assert "pwritev2" in calls

    def check(fault):
        _, code, _, err = run.play(**fault)
        assert code == 7 or code in (126, 127), (code, err)  # execve() was among them
    in_turn(({"error": errno.ENOMEM, "first": n, "last": n + 3}
             for n in range(2, len(calls), 3)), check)


def test_each_call_of_run_is_interrupted(tmp_path, watching):
    """The shim blocks all signals, but not all that interrupts is one. Not close(): it has closed
    the file whatever it says, which no tracer can play."""
    run = Run(tmp_path, watching)
    calls = run.play()[0]
    assert calls.count("read") > 1 and "poll" in calls
    in_turn(({"error": errno.EINTR, "call": CALLS[name], "first": n, "last": n}
             for name in sorted(set(calls) - {"close", "arch_prctl", "execve", "exit_group"})
             for n in range(1, calls.count(name) + 1)), run.check)


def denied(name, error, *command):
    process = subprocess.Popen((FAULT, "deny", str(error), str(CALLS[name]), "--", *command),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    return finish(process)


def test_seccomp_profile_of_the_agents_container(tmp_path, watching):
    """A profile that denies a call denies it to command and shim."""
    calls = Run(tmp_path, watching).play()[0]
    # The tracer's list begins behind the execve() that no profile for this can deny.
    names = sorted(set(calls) - {"execve", "arch_prctl", "exit_group"})
    assert {"socket", "recvmsg", "sendmsg"} <= set(names)

    def check(case):
        name, error = case
        bare = denied(name, error, *TALK)
        agent = AGENTS[next(numbers) % len(AGENTS)]
        code, out, err = denied(name, error, PROGRAM, "run", "--name", agent, "--socket", watching,
                                "--", *TALK)
        assert (code, out, without_ours(err)) == bare, (len(out), err)
    in_turn([(name, error) for name in names for error in (errno.EPERM, errno.ENOSYS)], check)


# ---- watch ----

class Watch:
    """A watchdog whose calls fail, with an agent beside it."""

    def __init__(self, *flags):
        self.flags = flags

    def play(self, **fault):
        """Its calls, its code, what it printed."""
        name = f"lastword-test-{os.getpid()}-{next(numbers)}"
        traced = Traced((PROGRAM, "watch", "--container", "main", "--grace", "1s", "--socket", name,
                         *self.flags), **fault, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        pid = only_child(traced.process.pid)
        # It may never be there.
        end = time.monotonic() + 0.3
        while not listens(name) and time.monotonic() < end and traced.process.poll() is None:
            time.sleep(0.005)
        words = (PROGRAM, "run", "--name", "main", "--socket", name, "--", *TALK)
        agent = finish(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        assert agent == (7, LETTERS, b"said it\n"), agent
        hook = (PROGRAM, "flush", "--name", "main", "--socket", name, "--grace", "2s")
        assert finish(subprocess.Popen(hook)) == (0, None, None)
        early = traced.process.poll()
        if early is None:
            os.kill(pid, signal.SIGTERM)
        code, out, err = finish(traced.process)
        calls = traced.calls()
        assert (early, code) == (None, 0), (failed_call(calls, fault), err)
        return calls, code, out


@pytest.mark.parametrize("mode", ["native", "classic"])
def test_each_call_of_watch(mode):
    """An agent does not notice, and it ends with 0 when it is told to, not before."""
    watch = Watch("--mode", mode, "--restart-policy", "Always")
    calls, code, out = watch.play()
    assert code == 0 and b'"exit_code":7' in out
    assert {"memfd_create", "fallocate", "bind", "listen", "accept4", "sendmsg", "poll", "write",
            "signalfd4"} <= set(calls)
    in_turn(each_call(calls), lambda fault: watch.play(**fault))
    if mode == "native":
        faults = [{"error": error, "call": CALLS[name], "first": 1, "last": 1 << 30}
                  for name in sorted(set(calls) - {"arch_prctl"})
                  for error in (errno.EPERM, errno.ENOSYS)]
        in_turn(faults, lambda fault: watch.play(**fault))


# ---- flush and install ----

def check_hook(words, expected, each=True, without=()):
    """A job that is a hook: whatever fails, it is gone soon, with one of these codes."""
    def play(fault):
        traced = Traced((PROGRAM, *words), **fault, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE)
        return finish(traced.process), traced.calls()

    def check(fault):
        (code, out, err), calls = play(fault)
        assert code in expected, (failed_call(calls, fault), code, out, err)
    (code, _, err), calls = play({})
    assert code == expected[0], err
    if each:
        in_turn(each_call(calls), check)
    in_turn([{"error": errno.EPERM, "call": CALLS[name], "first": 1, "last": 1 << 30}
             for name in sorted(set(calls) - {"arch_prctl", *without})], check)


def test_each_call_of_flush(watching):
    """The hook that it wraps counts; 126: it could not be executed."""
    agent = subprocess.Popen((PROGRAM, "run", "--name", "main", "--socket", watching, "--", VICTIM,
                              "hold", "default", "10", str(HANG * 1000)), stdout=subprocess.PIPE)
    assert agent.stdout.readline() == b"ready\n"
    flush = ("flush", "--name", "main", "--socket", watching, "--grace", "1s")
    # Where nobody may wait for it, the hook's code cannot be known.
    check_hook((*flush, "--", VICTIM, "exit", "9"), (9, 126), without={"wait4"})
    check_hook((*flush, "--signal", "SIGURG"), (0,), each=False)
    assert agent.poll() is None
    agent.kill()
    agent.communicate()


def test_each_call_of_install(tmp_path):
    """It says no in words, or yes and the copy runs; never a hang."""
    check_hook(("install", str(tmp_path / "shim")), (0, 1))
    (tmp_path / "shim").unlink(missing_ok=True)
    assert subprocess.run([PROGRAM, "install", tmp_path / "shim"], timeout=HANG).returncode == 0
    assert os.listdir(tmp_path) == ["shim"]


# ---- Limits and places ----

def limited(which, value, *command):
    """As a user of its own: a limit of processes counts all of a user's."""
    words = (FAULT, "limit", which, value, 54321 + next(numbers), "--", *command)
    return finish(subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE))


def compare_limited(which, values, socket):
    """As the command alone, wherever that runs."""
    shim = (PROGRAM, "run", "--name", "main", "--socket", socket, "--")
    ran = 0
    for value in values:
        bare = limited(which, value, *TALK)
        code, out, err = limited(which, value, *shim, *TALK)
        if bare[0] == 7:
            assert (code, out, without_ours(err)) == bare, (value, code, err)
            ran += 1
        else:
            assert code != 0, value
    assert ran > 1


def test_few_descriptors(watching):
    compare_limited(resource.RLIMIT_NOFILE, range(21), watching)


def test_few_processes(watching):
    compare_limited(resource.RLIMIT_NPROC, (0, 1, 2, 3, 1000), watching)


@pytest.mark.parametrize("which", [resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_STACK])
def test_little_memory(which, watching):
    """The shim itself needs half a megabyte."""
    least = 1 << (19 if which == resource.RLIMIT_DATA else 14)
    compare_limited(which, [least << i for i in range(12)], watching)


# The world of a pod whose agent runs as a user on a read-only image.
PLACES = {
    "no-proc": "mount -t tmpfs none /proc",
    "no-dev": "mount -t tmpfs none /dev",
    "no-cgroup": "mount -t tmpfs none /sys",
    "read-only": "mount -o remount,bind,ro / 2>/dev/null || { mount -o bind / / && "
                 "mount -o remount,bind,ro /; }",
    "nothing": "mount -t tmpfs none /sys; mount -t tmpfs none /dev; mount -t tmpfs none /proc",
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("closed", [False, True])
def test_places(name, closed, watching):
    """What the shim reads of the system is not there; with stdin closed it wants /dev/null."""
    script = (f"set -e; {PLACES[name]}; {'exec <&-;' if closed else ''} exec {PROGRAM} run"
              f" --name main --socket {watching} --done-file /no/such/place --"
              f" {' '.join(TALK)}")
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    code, out, err = finish(process)
    assert (code, out, without_ours(err)) == (7, LETTERS, b"said it\n"), (code, len(out), err)
