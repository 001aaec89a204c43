"""Colours: on a terminal that has them, never in a pipe, and never in the way of the text."""
import datetime
import json
import os
import pty
import re
import subprocess

import pytest
import yaml

from record_cluster import BUILD, DATA, ROOT, complete, read_terminal, with_times
from test_status import installation

COMMANDS = {
    "exits": ("exits", "-A"),
    "exits wide": ("exits", "-A", "-o", "wide"),
    "groups": ("groups", "-A"),
    "why": ("why", "coder-7f9"),
    "why resolved": ("why", "coder-8aa"),
    "scan": ("scan", "-A"),
    "status": ("status",),
}
ALARM, WARNING, GOOD, TITLE, DONE = ("\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[2m")


@pytest.fixture
def full(cluster):
    """A cluster in which each command finds something."""
    # Everything is a month old: ages in days are as wide in one call as in the next.
    then = datetime.datetime.utcnow() - datetime.timedelta(days=30)
    records = with_times(yaml.safe_load((DATA / "records.yaml").read_text()), then)
    pods = with_times(yaml.safe_load((ROOT / "tests/data/scan/pods.yaml").read_text()), then)
    cluster.hold([complete(record) for record in records])
    (cluster.folder / "pods.json").write_text(json.dumps(pods))
    cluster.behave(namespace="agents", trial="true")
    (cluster.folder / "paths.json").write_text(json.dumps(installation()))
    return cluster


def on_terminal(cluster, *arguments, **environment):
    """What a terminal of a hundred columns gets."""
    leader, follower = pty.openpty()
    environment = {**cluster.environment, "COLUMNS": "100", **environment}
    process = subprocess.Popen([BUILD / "bin/lastword", *arguments], stdout=follower,
                               env=environment)
    os.close(follower)
    output = read_terminal(leader)
    assert process.wait(60) in (0, 1)
    return output.decode().replace("\r\n", "\n")


def without(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def piped(cluster, *arguments, columns="100"):
    done = subprocess.run([BUILD / "bin/lastword", *arguments], capture_output=True, text=True,
                          env={**cluster.environment, "COLUMNS": columns, "TERM": "xterm"},
                          timeout=60)
    return done.stdout


def timeless(text):
    """Ages may pass to the next second between two calls."""
    return re.sub(r"\d+(?=[smh])", "N", text)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_gets_colors_and_a_pipe_none(full, name):
    plain = piped(full, *COMMANDS[name])
    assert plain and "\x1b" not in plain
    colored = on_terminal(full, *COMMANDS[name], TERM="xterm-256color")
    assert "\x1b[" in colored and timeless(without(colored)) == timeless(plain)
    assert "\x1b[" in on_terminal(full, *COMMANDS[name], TERM="xterm", NO_COLOR="")


@pytest.mark.parametrize("environment", [{"TERM": "xterm", "NO_COLOR": "1"},
                                         {"TERM": "xterm", "NO_COLOR": "0"}, {"TERM": "dumb"},
                                         {"TERM": ""}, {}])
@pytest.mark.parametrize("name", COMMANDS)
def test_who_wants_none_gets_none(full, name, environment):
    assert "\x1b" not in on_terminal(full, *COMMANDS[name], **environment)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_flag_decides(full, name):
    assert "\x1b" not in on_terminal(full, *COMMANDS[name], "--color=never", TERM="xterm")
    assert "\x1b[" in on_terminal(full, *COMMANDS[name], "--color", "always", NO_COLOR="1")
    for columns in ("40", "60", "100"):
        colored = piped(full, *COMMANDS[name], "--color=always", columns=columns)
        assert timeless(without(colored)) == timeless(
            piped(full, *COMMANDS[name], columns=columns))


@pytest.mark.parametrize("output", ["json", "yaml", "name"])
def test_programs_get_none(full, output):
    assert "\x1b" not in piped(full, "exits", "-o", output, "--color=always")


def lines_with(text, word):
    return [line for line in text.splitlines() if word in line]


def test_what_stands_out(full):
    exits = piped(full, "exits", "--color=always")
    assert f"{ALARM}True\x1b[0m" in exits and "\x1b[" not in exits.splitlines()[0]
    resolved, = lines_with(exits, "coder-8aa")
    assert resolved.startswith(DONE) and ALARM not in resolved
    groups = piped(full, "groups", "-A", "--color=always")
    assert f"{ALARM}back\x1b[0m" in groups and f"{WARNING}open\x1b[0m" in groups
    assert lines_with(groups, "resolved")[0].startswith(DONE)
    why = piped(full, "why", "coder-7f9", "--color=always")
    assert f"\n{ALARM}Silent:       True" in why and f"\n{TITLE}Cause: " in why
    assert f"\n{GOOD}Resolved: " in piped(full, "why", "coder-8aa", "--color=always")
    assert f"{ALARM}Silent now: " in piped(full, "scan", "-A", "--color=always")
    status = piped(full, "status", "--color=always")
    assert all(line.startswith(f"{GOOD}ok ") for line in status.splitlines()[:-2])
    full.behave(namespace="agents")
    assert f"{ALARM}failed   \x1b[0ma pod as a dry run" in piped(full, "status", "--color=always")


def test_a_word_of_the_flag_is_checked(cluster):
    done = cluster.lastword("exits", "--color", "sometimes", status=2)
    assert b"--color sometimes: expected one of auto, always, never" in done.stderr
