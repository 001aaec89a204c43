"""Init systems of containers as the command: behind the shim they do what they do as process 1."""
import os
import signal
import subprocess

import pytest

from conftest import PROGRAM, as_process_1, finish
from waiting import wait_until

SHIM = (PROGRAM, "run", "--name", "main", "--socket", "nobody", "--")
WAYS = {"wrapped": SHIM, "unwrapped": ()}
# An orphan's parent: the init system, which says its own name.
ORPHAN = ("sh", "-c", "(sh -c 'while [ $(ps -o ppid= -p $$) = '$$' ]; do sleep 0.01; done; "
                      "ps -o comm= -p $(ps -o ppid= -p $$)' &); sleep 1; exit 3")


def run(*command, environment=None):
    return {way: finish(subprocess.Popen([*as_process_1(), *prefix, *command],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE,
                                         env={**os.environ, **(environment or {})}))
            for way, prefix in WAYS.items()}


@pytest.mark.parametrize("init", [("tini", "--"), ("/usr/bin/tini", "-g", "--"), ("dumb-init", "--"),
                                  ("catatonit", "--")])
def test_exit_code_and_output(init):
    """Nothing on stderr: tini warns where it is neither process 1 nor a subreaper."""
    done = run(*init, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert done["wrapped"] == done["unwrapped"] == (3, b"out\n", b"err\n")


@pytest.mark.parametrize("init", ["tini", "dumb-init"])
def test_signal_is_passed_on(init):
    ends = {}
    for way, prefix in WAYS.items():
        process = subprocess.Popen([*as_process_1(), *prefix, init, "--", "sh", "-c",
                                    "trap 'echo got it; exit 5' TERM; echo ready; "
                                    "while :; do sleep 0.05; done"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        first = wait_until(lambda: open(f"/proc/{process.pid}/task/{process.pid}/children").read()
                           .split(), "process 1")[0]
        os.kill(int(first), signal.SIGTERM)
        ends[way] = finish(process)[:2]  # the shell may say of its child that it was signalled
    assert ends["wrapped"] == ends["unwrapped"] == (5, b"got it\n")


def test_orphans_go_to_tini():
    assert run("tini", "--", *ORPHAN) == dict.fromkeys(WAYS, (3, b"tini\n", b""))


def test_environment_of_tini():
    """The variable is added, and one that is there stays; other programs get none."""
    show = ("sh", "-c", "env | grep TINI_")
    assert run("tini", "--", *show)["wrapped"] == (0, b"TINI_SUBREAPER=\n", b"")
    mine = run("tini", "--", *show, environment={"TINI_SUBREAPER": "mine"})
    assert mine["wrapped"] == mine["unwrapped"] == (0, b"TINI_SUBREAPER=mine\n", b"")
    assert run("dumb-init", "--", *show) == dict.fromkeys(WAYS, (1, b"", b""))


AGENT = ("#!/bin/sh\ntrap 'echo stopped; exit 0' TERM\necho started\n"
         "[ -e again ] || { touch again; exit 1; }\nwhile :; do sleep 0.05; done\n")
SUPERVISORD = """[supervisord]
nodaemon=true
silent=true
user=root
logfile=/dev/null
logfile_maxbytes=0
pidfile=supervisord.pid
[program:agent]
command=./run
startsecs=0
autorestart=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
"""


@pytest.mark.parametrize("init", [("s6-svscan", "."),
                                  ("supervisord", "-n", "-c", "supervisord.conf")])
def test_supervisors(init, tmp_path):
    """They start an agent again that has failed, and end it after a signal."""
    ends = {}
    for way, prefix in WAYS.items():
        folder = tmp_path / way
        service = folder if init[0] == "supervisord" else folder / "agent"
        service.mkdir(parents=True)
        (folder / "supervisord.conf").write_text(SUPERVISORD)
        (service / "run").write_text(AGENT)
        (service / "run").chmod(0o755)
        process = subprocess.Popen([*as_process_1(), *prefix, *init], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder)
        assert [process.stdout.readline() for _ in range(2)] == [b"started\n"] * 2
        first = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()[0]
        os.kill(int(first), signal.SIGTERM)
        ends[way] = finish(process)[:2]
    assert ends["wrapped"] == ends["unwrapped"]
    assert b"stopped\n" in ends["wrapped"][1]
