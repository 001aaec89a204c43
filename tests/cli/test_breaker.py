"""lastword breaker: by hand, through kubectl."""
import json
import subprocess

import pytest

from record_cluster import BUILD


@pytest.fixture
def breaker(cluster):
    def run(*arguments, **behaviour):
        cluster.behave(**behaviour)
        return subprocess.run([BUILD / "bin/lastword", "breaker", *arguments], text=True,
                              capture_output=True, env=cluster.environment, timeout=60)

    def store(**namespaces):
        document = {"version": 1, "namespaces": namespaces}
        (cluster.folder / "breaker.json").write_text(json.dumps(
            {"kind": "ConfigMap", "metadata": {"resourceVersion": "7"},
             "data": {"state.json": json.dumps(document)}}))

    def stored():
        text = json.loads((cluster.folder / "breaker.json").read_text())["data"]["state.json"]
        return json.loads(text)["namespaces"]

    (cluster.folder / "breaker.json").write_text(
        json.dumps({"kind": "ConfigMap", "metadata": {"resourceVersion": "7"}}))
    run.store, run.stored, run.folder = store, stored, cluster.folder
    return run


OPEN = {"state": "open", "since": "2026-11-28T18:37:19Z", "until": "2026-11-28T19:07:19Z",
        "reason": "image", "message": "Back-off \u001b[2J pulling", "pod": "coder-x7k2p"}


def test_nothing_is_open(breaker):
    for arguments in ([], ["list"]):
        result = breaker(*arguments)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "No breaker is open.\n")


def test_list(breaker):
    breaker.store(agents=OPEN, others={"state": "half-open", "since": "2026-11-28T18:40:00Z",
                                       "reason": "hook", "pod": "a", "trial": "t"},
                  third={"state": "closed", "since": "2026-11-28T18:40:00Z"})
    result = breaker("list")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["NAMESPACE", "STATE", "SINCE", "UNTIL", "REASON", "POD", "MESSAGE"]
    assert lines[1][:6] == ["agents", "open", "2026-11-28T18:37:19Z", "2026-11-28T19:07:19Z",
                            "image", "coder-x7k2p"]
    assert lines[2][:6] == ["others", "half-open", "2026-11-28T18:40:00Z", "-", "hook", "t"]
    assert len(lines) == 3 and "\x1b" not in result.stdout
    listed = json.loads(breaker("-o", "json").stdout)
    assert listed["version"] == 1 and set(listed["namespaces"]) == {"agents", "others", "third"}


def test_open_and_close(breaker):
    breaker.store(others=OPEN)
    result = breaker("open", "agents")
    assert (result.returncode, result.stdout) == (0, "agents: open\n"), result.stderr
    entry = breaker.stored()["agents"]
    assert entry["state"] == "open" and entry["reason"] == "manual" and "until" not in entry
    assert breaker.stored()["others"]["reason"] == "image"
    result = breaker("open", "agents", "--for", "2h")
    entry = breaker.stored()["agents"]
    assert result.returncode == 0 and entry["until"] > entry["since"]
    result = breaker("close", "agents")
    assert (result.returncode, result.stdout) == (0, "agents: closed\n")
    entry = breaker.stored()["agents"]
    # since: what happens to pods that are older says nothing any more.
    assert entry["state"] == "closed" and entry["since"] and set(entry) == {"state", "since"}
    assert breaker.stored()["others"]["reason"] == "image"
    result = breaker("close", "agents")
    assert (result.returncode, result.stdout) == (0, "agents: closed (it was already)\n")
    assert breaker("close", "never-seen").stdout == "never-seen: closed (it was already)\n"


def test_another_writer(breaker):
    (breaker.folder / "conflicts").write_text("xx")
    assert breaker("open", "agents").returncode == 0
    assert breaker.stored()["agents"]["state"] == "open"
    (breaker.folder / "conflicts").write_text("x" * 9)
    result = breaker("close", "agents")
    assert result.returncode == 1 and "Conflict" in result.stderr
    assert breaker.stored()["agents"]["state"] == "open"


def test_another_namespace_of_lastword(breaker):
    assert breaker("open", "agents", "-n", "own", system="own").returncode == 0
    assert breaker.stored()["agents"]["state"] == "open"
    result = breaker("-n", "own")
    assert result.returncode == 1 and "NotFound" in result.stderr


def test_what_cannot_be_read(breaker):
    breaker.store(agents={"state": "ajar"})
    for arguments in (["list"], ["open", "agents"], ["close", "agents"]):
        result = breaker(*arguments)
        assert result.returncode == 1 and "state: expected open" in result.stderr
    (breaker.folder / "breaker.json").unlink()
    result = breaker("open", "agents")
    assert result.returncode == 1 and "NotFound" in result.stderr


@pytest.mark.parametrize("arguments,says", [
    (["tip"], "expected list, open or close"), (["open"], "one namespace"),
    (["close", "a", "b"], "one namespace"), (["list", "a"], "no argument"),
    (["close", "a", "--for", "1h"], "--for belongs to open"), (["open", "a", "--for", "soon"], "--for"),
    (["open", "a", "--for", "0s"], "more than 0"), (["-o", "yaml"], "expected json"),
    (["--fro", "1h", "open", "a"], "unknown flag")])
def test_usage(breaker, arguments, says):
    result = breaker(*arguments)
    assert result.returncode == 2 and says in result.stderr


def test_no_namespace(breaker):
    for name in ("A", "a/b", "x" * 64, "-a"):
        result = breaker("open", "--", name)
        assert result.returncode == 1 and "expected a namespace" in result.stderr
