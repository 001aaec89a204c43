"""A cluster leaves nothing behind on the machine, however it ends."""
import os
import pathlib
import signal
import subprocess
import sys

import cluster
import pytest
from waiting import wait_until

HANG = 600
KERNEL = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")


def machine():
    """What must be equal before and after a cluster."""
    links = sorted(os.listdir("/sys/class/net"))
    kernel = {name: pathlib.Path(f"/proc/sys/{name}").read_text() for name in KERNEL}
    return links, kernel


def left(name):
    """What exists of the cluster of that name: processes, mounts, control groups, its folder."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if name.encode() in (process / "cmdline").read_bytes() or \
                    name in (process / "cgroup").read_text():
                found.append(f"process {process.name}")
        except OSError:
            continue
    found += [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()
              if name in line]
    return found


def start(tmp_path):
    """A cluster whose command never ends: the process that runs it, and its folder."""
    announced = tmp_path / "announced"
    runner = subprocess.Popen(
        [sys.executable, cluster.__file__, "run", "sh", "-c",
         f'kubectl --kubeconfig "$LASTWORD_NODE/pki/admin.conf" get nodes >/dev/null && '
         f'echo "$LASTWORD_NODE" >{announced}.part && mv {announced}.part {announced}; sleep 100000'],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: announced.exists() or runner.poll() is not None, "the cluster starts", HANG)
        assert announced.exists(), runner.returncode
    except BaseException:
        runner.terminate()
        raise
    return runner, pathlib.Path(announced.read_text().strip())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left(tmp_path, how):
    before = machine()
    runner, state = start(tmp_path)
    assert left(state.name), "its processes are seen while it runs"
    runner.send_signal(how)
    runner.wait(HANG)
    wait_until(lambda: not left(state.name), lambda: left(state.name), HANG)
    assert machine() == before
    if how == signal.SIGKILL:  # files and empty control groups: the next cluster removes them
        assert state.exists() and list(cluster.cgroups(state.name))
        cluster.sweep()
    assert not state.exists() and not list(cluster.cgroups(state.name))


def test_result_of_the_command():
    """run ends with its command's status."""
    done = subprocess.run([sys.executable, cluster.__file__, "run", "sh", "-c", "exit 42"],
                          stdin=subprocess.DEVNULL, timeout=HANG)
    assert done.returncode == 42
