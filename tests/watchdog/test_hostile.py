"""Who owns another container of the pod, or the agent's, against the watchdog; docs/security.md."""
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from cgroups import Container
from conftest import AGENT_USER, HANG, PROGRAM, SANITIZED, VICTIM, WATCHDOG_USER, Watch, kill, wait_until
from strangers import ACK, EXIT, FLUSH, HELLO, LEAVING, TAIL, TERMINATING, message
from waiting import wait_for_ring

PYTHON = "/usr/bin/python3"
CONNECT = ("import array,os,socket,sys,time\n"
           "def connect():\n"
           "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
           "    s.connect('\\0lastword')\n"
           "    return s\n")


def stranger(pod, script, user=4000, **options):
    return pod.start((PYTHON, "-c", CONNECT + script), user=user, stdout=subprocess.PIPE, **options)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("mode", ["native", "classic"])
def test_flood_does_not_keep_it_from_ending(pod, mode):
    """SIGTERM is seen while every turn of the loop has something else to do."""
    watch = pod.watch("--mode", mode, "--grace", "3s")
    flood = (f"m = {message(TERMINATING)!r}; s = connect(); s.send({message(HELLO)!r})\n"
             "print('there', flush=True)\n"
             "while True: s.send(m)\n")
    knock = (f"m = {message(FLUSH)!r}\nprint('there', flush=True)\n"
             "while True:\n"
             "    try: connect().send(m)\n"
             "    except OSError: pass\n")
    strangers = [stranger(pod, script) for script in (flood, knock, knock)]
    for process in strangers:
        assert process.stdout.readline() == b"there\n"
    time.sleep(0.2)
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0
    for process in strangers:
        process.kill()


def test_descriptors_that_are_sent_along(pod):
    """With an empty message, with garbage, with a greeting: none stays with the watchdog."""
    watch = pod.watch("--mode", "native")
    before = descriptors(watch.pid)
    script = (f"hello, tail, leave = {message(HELLO)!r}, {message(TERMINATING)!r}, "
              f"{message(LEAVING)!r}\n"
              "fds = array.array('i', [0] * 250).tobytes()\n"
              "def send(s, data, fds):\n"
              "    s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n"
              "for i in range(100):\n"
              "    for data in (b'', b'x', hello):\n"
              "        s = connect(); send(s, data, fds[:4 if i % 2 else None])\n"
              "        try:\n"
              "            if data == hello: send(s, tail, fds); send(s, leave, fds)\n"
              "            while s.recv(999): pass\n"
              "        except OSError: pass\n"
              "        s.close()\n"
              "print('sent', flush=True)\n")
    assert stranger(pod, script).stdout.readline() == b"sent\n"
    wait_until(lambda: descriptors(watch.pid) == before, "its descriptors")
    assert pod.run(*(VICTIM, "exit", "3"))[0] == 3
    while watch.next().get("exit_code") != 3:
        pass
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_descriptors_that_a_false_watchdog_sends(pod):
    """Nor with the shim."""
    script = ("l = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
              "l.bind('\\0lastword'); l.listen(9); print('there', flush=True)\n"
              "fds = array.array('i', [0] * 250).tobytes()\n"
              f"ack = {message(ACK)!r}\n"
              "for i in range(200):\n"
              "    c, _ = l.accept()\n"
              "    for data in (ack, ack, b'' if i % 2 else b'x'):\n"
              "        try: c.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n"
              "        except OSError: pass\n"
              "    if i == 5: print('sent', flush=True)\n")
    false = stranger(pod, script)
    assert false.stdout.readline() == b"there\n"
    process = pod.shim("sh", "-c", "echo ready; read x; exit 5", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    assert false.stdout.readline() == b"sent\n"
    assert descriptors(process.pid) <= 10  # two may be about to be closed
    out, err = process.communicate(b"\n", timeout=HANG)
    assert (process.returncode, out, err) == (5, b"", b"")


def test_memory_of_rings_that_somebody_keeps(pod):
    """Whoever leaves and keeps the ring has not kept the watchdog's memory; nor are there many, for
    the kernel charges even an empty one to it."""
    watch = pod.watch("--mode", "native")
    script = ("kept = []\n"
              "for i in range(300):\n"
              f"    s = connect(); s.send({message(HELLO)!r}); s.send({message(LEAVING)!r})\n"
              "    data, control, _, _ = s.recvmsg(999, socket.CMSG_SPACE(4))\n"
              "    kept += array.array('i', control[0][2]) if control else []\n"
              "    while s.recv(999): pass\n"
              "print(len(kept), flush=True)\n"
              "last = kept.pop()  # its end may still be on its way\n"
              "end = time.monotonic() + 60\n"
              "while any(os.fstat(fd).st_blocks for fd in kept) and time.monotonic() < end: pass\n"
              "print(sum(os.fstat(fd).st_blocks for fd in kept), flush=True)\n")
    process = stranger(pod, script)
    assert int(process.stdout.readline()) == 16
    assert process.stdout.readline() == b"0\n"
    assert pod.run("sh", "-c", "echo honest; exit 3")[0] == 3  # keeps its output itself
    assert watch.next()["log_tail"] == "honest\n"
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_connections_that_never_read(pod):
    """40,000 of a neighbour, kept open: what they are sent is charged to the watchdog, so they are
    sent nothing. Other containers' ends are reported meanwhile and afterwards."""
    # What the watchdog has as shipped; the sanitizer's runtime needs much more.
    container = Container(512 << 20 if SANITIZED else 16 << 20)
    watch = pod.watch("--container", "main", "--container", "second", "--mode", "native",
                      preexec_fn=container.join)
    live = pod.shim("sh", "-c", "echo live; read x; exit 3", stdin=subprocess.PIPE)
    assert live.stdout.readline() == b"live\n"
    wait_for_ring(watch.pid)
    before = container.used()
    end = message(EXIT, b"second", ended=1, exit_code=1)
    script = ("import itertools, resource\n"
              "most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
              "resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n"
              f"kinds = [[{message(FLUSH)!r}], [{message(HELLO)!r}],\n"
              f"         [{message(HELLO, b'second')!r}, {end!r}],\n"
              f"         [{message(HELLO, b'second', version=2)!r}, {end!r}]]\n"
              "kept = []\n"
              "for kind in itertools.islice(itertools.cycle(kinds), 10000):\n"
              "    s = connect(); kept.append(s)\n"
              "    try: [s.send(data) for data in kind]\n"
              "    except OSError: pass\n"
              "# When this is answered, all before it have been.\n"
              f"s = connect(); s.send({message(FLUSH, b'nobody')!r}); s.recv(99)\n"
              "print('there', flush=True); time.sleep(600)\n")
    strangers = [stranger(pod, script) for _ in range(4)]
    for process in strangers:
        assert process.stdout.readline() == b"there\n"
    # What the kernel has freed of the closed ones is uncharged a moment later.
    most = 16 << 20 if SANITIZED else 1 << 20
    wait_until(lambda: container.used() - before < most, lambda: f"{container.used()} bytes")
    live.communicate(b"\n", timeout=HANG)
    assert pod.run(VICTIM, "exit", "4")[0] == 4
    codes = []
    while 4 not in codes:
        line = watch.next()
        codes += [line["exit_code"]] if (line["container"], line["event"]) == ("main", "end") else []
    assert codes == [3, 4]
    for process in strangers:
        process.kill()
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0
    container.remove()


def test_rings_that_nobody_takes(pod):
    """They count against all that the watchdogs of a node have sent, who are one user."""
    watch = Watch(pod.start(("prlimit", "--nofile=20:4096", PROGRAM, "watch", "--container", "main",
                             "--container", "a", "--container", "b"), WATCHDOG_USER,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    wait_until(pod.sockets, "the socket")
    script = ("kept = []\n"
              f"for hello in {message(HELLO, b'a')!r}, {message(HELLO, b'b')!r}:\n"
              "    for i in range(16):\n"
              f"        s = connect(); s.send(hello); s.send({message(LEAVING)!r})\n"
              "        kept.append(s)\n"
              "print('there', flush=True); time.sleep(99)\n")
    assert stranger(pod, script).stdout.readline() == b"there\n"
    process = pod.shim("sh", "-c", "echo ready; read x", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    wait_for_ring(process.pid)
    kill(process.pid, signal.SIGKILL)
    assert watch.next()["log_tail"] == "ready\n"
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


@pytest.mark.parametrize("read", [True, False])
def test_flood_of_events_does_not_hide_an_end(pod, read):
    """Neither by using up the lines of a container, nor by filling what waits for a slow stdout."""
    ours, theirs = os.pipe()
    watch = pod.start((PROGRAM, "watch", "--container", "main", "--mode", "native"),
                      user=WATCHDOG_USER, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    wait_until(pod.sockets, "the socket")
    stream = open(ours, "rb")
    if read:
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(stream), daemon=True)
        reader.start()
    process = pod.shim("python3", "-uc", "print('x' * 5000); print('ready'); input(); exit(7)",
                       stdin=subprocess.PIPE)
    while process.stdout.readline() != b"ready\n":
        pass
    script = ("for i in range(600):\n"
              f"    s = connect(); s.send({message(FLUSH)!r}); s.recv(999); s.close()\n"
              "print('done', flush=True)\n")
    assert stranger(pod, script).stdout.readline() == b"done\n"
    process.communicate(b"\n", timeout=HANG)
    assert process.returncode == 7
    watch.terminate()
    if read:
        reader.join(HANG)
    else:
        lines = stream.readlines()
    assert watch.wait(timeout=HANG) == 0
    assert b'"event":"end"' in lines[-1] and b'"exit_code":7' in lines[-1]
    assert b'"reports_lost":' in lines[-1]
    stream.close()


def test_flush_of_another_user_excuses_no_killing(pod):
    """What its hook says of the agent, a neighbour does not: Killed, not Terminated."""
    watch = pod.watch("--mode", "native")
    for user, cause in ((4000, "Killed"), (AGENT_USER, "Terminated")):
        process = pod.shim("sh", "-c", "echo ready; read x", stdin=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        hook = pod.start((PROGRAM, "flush", "--name", "main"), user=user)
        assert hook.wait(timeout=HANG) == 0 and watch.next()["event"] == "flush"
        kill(process.pid)
        line = watch.next()
        assert (line["event"], line["error_type"]) == ("end", cause)
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_its_memory_is_its_own(pod):
    """Not even a process of its own user reads it, traces it, or takes its descriptors."""
    watch = pod.watch("--mode", "native")
    script = (f"pid = {watch.pid}\n"
              "for path in ('mem', 'maps', 'fd/0', 'environ'):\n"
              "    try: open(f'/proc/{pid}/{path}', 'rb').read(1); print(path)\n"
              "    except PermissionError: pass\n"
              "import ctypes\n"
              "libc = ctypes.CDLL(None, use_errno=True)\n"
              "print(libc.ptrace(0x4206, pid, 0, 0), ctypes.get_errno())  # PTRACE_SEIZE\n")
    out, _ = stranger(pod, script, user=WATCHDOG_USER).communicate(timeout=HANG)
    assert out == b"-1 1\n"
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_flush_signal_beside_a_false_shim(pod):
    """A process that looks like the agent's shim does not take its signal away."""
    watch = pod.watch("--mode", "native")
    script = ("import signal,sys,time\n"
              "signal.signal(signal.SIGUSR1, lambda *a: print('flushed'))\n"
              "print('ready')\nwhile True: time.sleep(1)")
    agent = pod.shim("python3", "-uc", script)
    assert agent.stdout.readline() == b"ready\n"
    false = pod.shim("sleep", "60")  # refused, and found too
    flush = pod.start((PROGRAM, "flush", "--name", "main", "--signal", "SIGUSR1", "--grace", "10s"),
                      user=AGENT_USER)
    assert agent.stdout.readline() == b"flushed\n"
    assert flush.wait(timeout=HANG) == 0
    assert watch.next()["event"] == "flush"
    for process in (agent, false):
        process.kill()


def test_done_file_is_never_written_through(tmp_path):
    """A link, a device, somebody's file: none is touched, and nothing hangs."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    places = {"link": lambda p: p.symlink_to(victim), "dangling": lambda p: p.symlink_to("/tmp/none"),
              "file": lambda p: p.write_text("precious"), "fifo": os.mkfifo,
              "folder": lambda p: p.mkdir()}
    for name, make in places.items():
        path = tmp_path / name
        make(path)
        done = subprocess.run([PROGRAM, "run", "--name", "m", "--socket", "nobody", "--done-file",
                               path, "--", VICTIM, "exit", "4"], timeout=HANG, capture_output=True)
        assert (done.returncode, done.stderr) == (4, b""), name
    assert victim.read_text() == "precious" and not pathlib.Path("/tmp/none").exists()
    assert (tmp_path / "file").read_text() == "precious"


def test_shim_that_is_killed_by_its_own_command(pod):
    """An agent that kills its shim is told of, and dies with it."""
    watch = pod.watch("--mode", "native")
    process = pod.shim("sh", "-c", "echo $$; read x; kill -9 $PPID; sleep 60", stdin=subprocess.PIPE)
    command = int(process.stdout.readline())
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.wait(timeout=HANG) == -signal.SIGKILL
    assert watch.next()["error_type"] == "Killed"
    wait_until(lambda: not pathlib.Path(f"/proc/{command}").exists(), "the command's end")
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_forged_ends_cost_lines_of_their_own_name_only(pod):
    watch = pod.watch("--mode", "native", "--container", "main", "--container", "other")
    script = ("for i in range(500):\n"
              f"    s = connect(); s.send({message(HELLO)!r}); s.send({message(EXIT)!r})\n"
              "    while s.recv(999): pass\n"
              "    s.close()\n"
              "print('done', flush=True)\n")
    assert stranger(pod, script).stdout.readline() == b"done\n"
    assert pod.run(VICTIM, "exit", "6", name="other")[0] == 6
    ends = 0
    while (line := watch.next())["container"] == "main":
        ends += 1
        assert line["shim_uid"] == 4000
    assert line["exit_code"] == 6 and 250 < ends < 450
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_forged_ends_leave_room_for_others_while_stdout_is_stuck(pod):
    """Each container has a place for its end in what waits for stdout."""
    ours, theirs = os.pipe()
    names = [f"agent-{i}" for i in range(32)]
    watch = pod.start((PROGRAM, "watch", "--mode", "native", "--tail", "8192",
                       *[word for name in names for word in ("--container", name)]),
                      user=WATCHDOG_USER, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    wait_until(pod.sockets, "the socket")
    hello, tail, end = (message(kind, b"agent-0", total=8000, ended=1) for kind in (HELLO, TAIL, EXIT))
    tail += b"x" * 8000
    script = ("for i in range(200):\n"
              f"    s = connect(); s.send({hello!r}); s.send({tail!r}); s.send({end!r})\n"
              "    try:\n        while s.recv(999): pass\n    except OSError: pass\n"
              "print('done', flush=True)\n")
    assert stranger(pod, script).stdout.readline() == b"done\n"
    talk = "import os; os.write(1, b'\\1' * 8000); os._exit(6)"  # six bytes each in JSON
    for name in names[1:]:
        assert pod.run(PYTHON, "-c", talk, name=name)[0] == 6
    assert stranger(pod, script).stdout.readline() == b"done\n"
    with open(ours, "rb") as stream:
        watch.terminate()
        lines = [json.loads(line) for line in stream]
    assert watch.wait(timeout=HANG) == 0
    codes = {line["container"]: line["exit_code"] for line in lines}
    assert codes == {name: 6 if name != "agent-0" else 0 for name in names}
    assert 5 < sum(line["container"] == "agent-0" for line in lines) < 60
