"""flush, the preStop hook, and install."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from conftest import AGENT_USER, HANG, PROGRAM, VICTIM, as_process_1, kill, only_child
from waiting import wait_until


def flush(pod, *hook, flags=(), name="main", grace="30s", program=PROGRAM, user=AGENT_USER):
    start = time.monotonic()
    words = [program, "flush", "--name", name, "--grace", grace, *flags]
    process = pod.start([*words, "--", *hook] if hook else words, user, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=HANG)
    return process.returncode, out, err.decode(), time.monotonic() - start


def start_agent(pod, script, **options):
    process = pod.shim("python3", "-uc", "import signal,sys,time\n" + script, **options)
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.1)
    return process


# ---- flush ----

def test_report_now(pod):
    watch = pod.watch("--mode", "native")
    process = start_agent(pod, "print('ready'); time.sleep(60)")
    assert flush(pod)[:3] == (0, b"", "")
    line = watch.next()
    assert (line["event"], line["container"], line["log_tail"]) == ("flush", "main", "ready\n")
    assert line["duration_seconds"] > 0 and "error_type" not in line
    kill(process.pid, signal.SIGKILL)
    assert watch.next()["error_type"] == "Terminated"  # the hook runs when it is to be stopped


def test_wrapped_hook_counts(pod):
    pod.watch("--mode", "native")
    assert flush(pod, "sh", "-c", "echo hook; echo err >&2; exit 7")[:3] == (7, b"hook\n", "err\n")
    assert flush(pod, "true")[0] == 0
    assert flush(pod, VICTIM, "kill", "15")[0] == 143
    code, _, err, _ = flush(pod, "/no/such/hook")
    assert code == 127 and "cannot execute /no/such/hook: No such file" in err


def test_hook_runs_first(pod, tmp_path):
    watch = pod.watch("--mode", "native")
    process = start_agent(pod, "signal.signal(signal.SIGUSR1, lambda *a: print('by the hook'))\n"
                               "print('ready')\nwhile True: time.sleep(1)")
    code, _, _, _ = flush(pod, "sh", "-c", f"kill -USR1 {process.pid}; sleep 0.2; exit 3")
    assert code == 3 and watch.next()["log_tail"] == "ready\nby the hook\n"


@pytest.mark.parametrize("process_1", [True, False])
def test_flush_signal(pod, process_1):
    """The agent that catches it has its time to write; one that does not never notices. That time is
    half a second, in which a loaded machine need not run the agent: one of ten has to succeed."""
    watch = pod.watch("--mode", "native")
    caught = "signal.signal(signal.SIGUSR1, lambda *a: print('flushed'))\n"

    def last_output(script):
        process = start_agent(pod, script + "print('ready')\nwhile True: time.sleep(1)",
                              process_1=process_1)
        if process_1:
            # As kubectl exec and hooks do: into the container's PID namespace.
            inside = only_child(process.pid)
            done = subprocess.run(["nsenter", f"--target={inside}", "--net", "--pid", "--mount",
                                   "--setuid", str(AGENT_USER), "--setgid", str(AGENT_USER), "--",
                                   PROGRAM, "flush", "--name", "main", "--grace", "10s",
                                   "--signal", "SIGUSR1"], capture_output=True, timeout=HANG)
            assert (done.returncode, done.stderr) == (0, b"")
        else:
            assert flush(pod, flags=("--signal", "SIGUSR1"), grace="10s")[0] == 0
        tail = watch.next()["log_tail"]
        assert process.poll() is None
        process.kill()
        assert watch.next()["event"] == "end"
        return tail

    assert any(last_output(caught) == "ready\nflushed\n" for _ in range(10))
    assert last_output("signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n") == "ready\n"


def test_flush_signal_goes_to_the_right_shim(pod):
    """With a shared process namespace there are several."""
    watch = pod.watch("--mode", "native", "--container", "a", "--container", "b")
    script = ("signal.signal(signal.SIGUSR1, lambda *a: print('flushed'))\nprint('ready')\n"
              "while True: time.sleep(1)")
    start_agent(pod, script, name="a")
    start_agent(pod, script, name="b")
    flush(pod, name="b", flags=("--signal", "SIGUSR1"), grace="10s")
    while (line := watch.next())["log_tail"] == "ready\n":  # until it has run
        assert line["container"] == "b"
        flush(pod, name="b", grace="10s")
    assert line["container"] == "b" and line["log_tail"] == "ready\nflushed\n"
    flush(pod, name="a", grace="10s")
    assert (line := watch.next())["container"] == "a" and line["log_tail"] == "ready\n"


def ping(pod, *flags):
    process = pod.start((PROGRAM, "flush", "--ping", *flags), stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=HANG)
    return process.returncode, err.decode()


def test_ping(pod):
    """The command of a probe: whether a watchdog answers. It prints no report, and runs no hook."""
    assert ping(pod) == (1, 'lastword: flush: no watchdog listens on the socket "lastword"\n')
    watch = pod.watch("--mode", "native")
    assert ping(pod) == ping(pod, "--name", "main", "--", "sh", "-c", "exit 7") == (0, "")
    process = pod.shim("sh", "-c", "read x", stdin=subprocess.PIPE)
    assert ping(pod) == (0, "")
    watch.signal(signal.SIGSTOP)
    assert ping(pod) == (1, 'lastword: flush: the watchdog on the socket "lastword" does not answer\n')
    watch.signal(signal.SIGCONT)
    process.communicate(b"\n", timeout=HANG)
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0 and [line["event"] for line in watch.lines] == ["end"]


def test_never_in_the_way(pod):
    """Nobody there: at once. A watchdog that does not answer: grace/10, at most a second."""
    # One of many starts is quick on a loaded machine, too; one that waits never is.
    wait_until(lambda: flush(pod)[3] < 0.5, "a flush that ends at once")
    code, _, err, took = flush(pod, flags=("--signal", "SIGUSR1"))
    assert code == 0 and "found no shim of container main, no signal was sent" in err
    watch = pod.watch("--mode", "native")
    watch.signal(signal.SIGSTOP)
    for grace, most in (("1s", 0.1), ("100s", 1), ("0s", 0)):
        code, _, _, took = flush(pod, grace=grace)
        assert code == 0 and most <= took < most + HANG / 2, grace
    code, _, _, took = flush(pod, "sh", "-c", "exit 6", grace="1s")
    assert code == 6
    watch.signal(signal.SIGCONT)


def test_no_agent(pod):
    watch = pod.watch("--mode", "native")
    assert flush(pod)[:3] == (0, b"", "")
    assert flush(pod, name="stranger")[:3] == (0, b"", "")
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0 and watch.lines == []


# ---- install ----

def install(*arguments, program=PROGRAM, **options):
    return subprocess.run([program, "install", *map(str, arguments)], capture_output=True,
                          timeout=HANG, **options)


def test_install(tmp_path):
    target = tmp_path / "shim"
    done = install(target)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert target.read_bytes() == pathlib.Path(PROGRAM).read_bytes()
    assert target.stat().st_mode & 0o7777 == 0o555
    assert subprocess.run([target, "run", "--name", "main", "--socket", "nobody", "--", "sh", "-c",
                           "exit 5"]).returncode == 5
    # Again: the same file stays, also while it runs.
    before = target.stat().st_ino
    assert install(target).returncode == 0 and target.stat().st_ino == before
    assert os.listdir(tmp_path) == ["shim"]


def test_install_over_another_version_that_runs(tmp_path):
    target = tmp_path / "shim"
    shutil.copy("/bin/sleep", target)
    running = subprocess.Popen([target, "60"])
    assert install(target).returncode == 0
    assert target.read_bytes() == pathlib.Path(PROGRAM).read_bytes()
    assert running.poll() is None
    running.kill()
    running.wait()
    # What an interrupted attempt left does not matter.
    target.unlink()
    (tmp_path / "shim.new").write_bytes(b"half")
    assert install(target).returncode == 0 and os.listdir(tmp_path) == ["shim"]


def test_install_says_what_is_wrong(tmp_path):
    done = install(tmp_path / "no" / "shim")
    assert done.returncode == 1 and b"No such file or directory" in done.stderr
    done = install()
    assert done.returncode == 2 and b"expected one file name" in done.stderr
    done = install(tmp_path)
    assert done.returncode == 1 and os.listdir(tmp_path) == []
    done = install("/" + "a" * 5000)
    assert done.returncode == 1 and b"too long" in done.stderr


def mounted(folder, options, script):
    """The script in a mount namespace with a tmpfs at folder."""
    return subprocess.run(["unshare", "--mount", "sh", "-c",
                           f"mount -t tmpfs -o {options} none {folder} && {script}"],
                          capture_output=True, timeout=HANG)


def test_install_on_a_full_volume(tmp_path):
    done = mounted(tmp_path, "size=64k", f"{PROGRAM} install {tmp_path}/shim; echo $?; ls {tmp_path}")
    assert done.stdout == b"1\n" and b"No space left on device" in done.stderr


def test_install_where_nothing_executes(tmp_path):
    done = mounted(tmp_path, "size=64m,noexec", f"{PROGRAM} install {tmp_path}/shim")
    assert done.returncode == 1 and b"Permission denied" in done.stderr


def test_install_as_another_user(tmp_path):
    """As in a pod: the watchdog's user writes, the agent's executes."""
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    target = tmp_path / "shim"
    assert install(target, user=65511, group=65511).returncode == 0
    done = subprocess.run([target, "run", "--name", "m", "--socket", "nobody", "--", "true"],
                          user=AGENT_USER, group=AGENT_USER, timeout=HANG)
    assert done.returncode == 0


@pytest.mark.parametrize("process_1", [False, True])
def test_install_never_hangs(tmp_path, process_1):
    """A postStart hook that hangs makes a pod undeletable: 3 s."""
    fifo = tmp_path / "shim"  # opening it waits for a writer
    os.mkfifo(fifo)
    prefix = as_process_1() if process_1 else []
    start = time.monotonic()
    done = subprocess.run([*prefix, PROGRAM, "install", fifo], capture_output=True, timeout=HANG)
    assert done.returncode == 1 and b"gave up after 3 s" in done.stderr
    assert 2.5 < time.monotonic() - start < HANG / 2
