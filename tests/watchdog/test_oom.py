"""The kernel's own OOM killer, in a memory cgroup made for it (v1 or v2, as the machine has it)."""
import pathlib
import signal
import subprocess

import pytest

from cgroups import LIMIT, Container
from conftest import HANG, VICTIM


@pytest.fixture
def container():
    made = Container()
    yield made
    made.remove()


def test_the_command_alone_is_killed(pod, container):
    """The largest process of the container; the shim lives and knows why."""
    watch = pod.watch("--mode", "classic", "--restart-policy", "Never")
    code, out, err = pod.run("sh", "-c", f"echo loading the model; exec {VICTIM} eat 300",
                             preexec_fn=container.join, user=None)
    assert (code, out, err) == (128 + signal.SIGKILL, b"loading the model\n", b"")
    line = watch.next()
    assert (line["error_type"], line["evidence"], line["signal"]) == \
        ("OOMKilled", "oom-kills", "SIGKILL")
    assert line["oom_kills"] == 1 and line["log_tail"] == "loading the model\n"
    assert line["max_rss_bytes"] > LIMIT / 2 and watch.ended() == 0


def test_a_child_of_the_command_is_killed(pod, container):
    """The command survives, and says its own: its code counts, and that a child was killed."""
    watch = pod.watch("--mode", "native")
    for command, code, cause in ((("child",), 3, "OOMKilled"), (("spare",), 0, "Completed")):
        done = pod.run(VICTIM, *command, VICTIM, "eat", "300", preexec_fn=container.join, user=None)
        assert done[0] == code
        line = watch.next()
        assert (line["exit_code"], line["error_type"], line["oom_kills"]) == (code, cause, 1)
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_the_whole_container_is_killed(pod, container):
    """The shim too, as cgroup v2 does it to containers: the watchdog, in another cgroup, knows at
    once. (Where only v1 is, the shim is made the OOM killer's first choice instead.)"""
    watch = pod.watch("--mode", "classic", "--restart-policy", "Never")
    eat = f"{VICTIM} eat 300"
    process = pod.shim("sh", "-c", f"echo loading; read line; {eat} & {eat} & wait", stdin=-1,
                       preexec_fn=container.join, user=None)
    assert process.stdout.readline() == b"loading\n"
    if container.v2:
        container.write("memory.oom.group", 1)
    else:
        pathlib.Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000")
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.wait(timeout=HANG) == -signal.SIGKILL
    line = watch.next()
    assert (line["event"], line["error_type"], line["log_tail"]) == ("end", "Killed", "loading\n")
    assert "exit_code" not in line and watch.ended() == 0


def test_the_ring_is_not_charged_to_the_agent(pod, container):
    """4 MiB of it, in use: the container's memory is as without a watchdog."""
    used = []
    for socket in ("nobody", "lastword"):
        watch = pod.watch("--mode", "native", "--ring-size", str(4 << 20))
        script = "head -c 8000000 /dev/zero; echo full >&2; read line"
        process = pod.shim("sh", "-c", script, flags=("--socket", socket), user=None, stdin=-1,
                           preexec_fn=container.join, stdout=subprocess.DEVNULL)
        assert process.stderr.readline() == b"full\n"
        used.append(container.used())
        process.communicate(b"\n", timeout=HANG)
        watch.signal(signal.SIGTERM)
        assert watch.ended() == 0
    assert watch.lines[0]["log_bytes_total"] >= 8000000
    assert used[1] - used[0] < 2 << 20, used
