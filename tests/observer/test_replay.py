"""The recorded stream of watch events, replayed to the observer's state machines in one process: whatever
happens to connections, servers and observers, the same records come of it, and they are those in
tests/data/podwatch. LASTWORD_RECORD=1 in the environment rewrites those, to be read in the diff."""
import json
import os
import subprocess

import pytest
import yaml

import injected
import unwrapped
from injected import BUILD, ROOT, STREAM

HANG = 300  # a bound on hanging
# Four ways to cut the watch, at each event; the sanitized build, ten times slower, takes one of them
# at every fifth. Random runs likewise.
WAYS = 0 if "asan" in BUILD.parts else 4
RUNS = 3 if "asan" in BUILD.parts else 20


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    (folder / "no-lines").write_text("")
    config = ("--webhook-config", unwrapped.write_config(folder))
    files, _ = unwrapped.write(folder)
    return {"plain": (STREAM, folder / "no-lines"), "injected": injected.write(folder),
            "unwrapped": files, "audited": (*config, STREAM, folder / "no-lines"),
            "audited-unwrapped": (*config, *files)}


def replay(streams, which, *modes):
    result = subprocess.run(
        [BUILD / "tests/replay_driver", *streams[which], *map(str, modes)],
        capture_output=True, text=True, timeout=HANG)
    assert result.returncode == 0, result.stderr[-8000:]
    return result


def readable(records):
    specs = [{"name": r["metadata"]["name"], "labels": r["metadata"]["labels"], **r["spec"],
              **{k: v for k, v in r["status"].items() if k != "silent"}} for r in records]
    for spec in specs:
        assert spec.pop("version")
    return sorted(specs, key=lambda spec: spec["name"])


@pytest.mark.parametrize("which", ["plain", "injected"])
def test_the_records_are_the_expected_ones(streams, which):
    got = readable(map(json.loads, replay(streams, which, "once").stdout.splitlines()))
    path = ROOT / f"tests/data/podwatch/expected-{which}.yaml"
    if "LASTWORD_RECORD" in os.environ:
        path.write_text(yaml.safe_dump(got, sort_keys=False, width=100))
    assert got == yaml.safe_load(path.read_text())


def test_every_end_has_a_record():
    """The stream itself says how many there must be."""
    runs, never = set(), set()
    for line in STREAM.read_text().splitlines():
        pod = json.loads(line)["object"]
        for status in pod["status"].get("containerStatuses", []):
            key = (pod["metadata"]["name"], status["restartCount"])
            terminated = status["state"].get("terminated")
            if status["name"] == "main" and terminated and terminated["exitCode"] != 0:
                runs.add(key)
    expected = yaml.safe_load((ROOT / "tests/data/podwatch/expected-plain.yaml").read_text())
    never = {r["pod"] for r in expected if r["errorType"] == "NeverStarted"}
    assert never == {"config-error", "image-never", "init-fails"}
    assert {(r["pod"], r["restartCount"]) for r in expected if r["pod"] not in never} == runs
    assert len(runs) == 27 and len(expected) == 30


@pytest.mark.parametrize("which", ["plain", "injected"])
@pytest.mark.parametrize("modes", [("cut", WAYS), ("half-open",), ("kill", RUNS),
                                   ("replicas", RUNS), ("trouble", RUNS), ("clock", RUNS)],
                         ids=lambda modes: modes[0])
def test_whatever_happens_the_records_are_the_same(streams, which, modes):
    result = replay(streams, which, *modes)
    assert "no status" not in result.stderr and "not done" not in result.stderr
    assert " 0 differ" in result.stderr


@pytest.mark.parametrize("which", ["unwrapped", "audited-unwrapped"])
def test_agents_without_a_watchdog_have_their_last_words(streams, which, tmp_path):
    """Nothing of a kubelet's is taken for theirs."""
    _, ended = unwrapped.write(tmp_path)
    got = [json.loads(line) for line in replay(streams, which, "once").stdout.splitlines()]
    assert len(got) == 30
    for spec in (record["spec"] for record in got):
        key = (spec["pod"], spec["restartCount"])
        if key in ended:
            assert spec["source"] == "log"
            assert spec["logTail"].endswith(unwrapped.last_words(*key) + "\n"), spec
        else:
            assert spec["errorType"] in ("NeverStarted", "StartError"), spec
            assert spec["source"] == "kubelet" and "logTail" not in spec
        assert "symlinks" not in json.dumps(spec)


def test_what_should_have_been_injected_has_the_same_records(streams):
    """All namespaces opted in, a rule that matches all: pods that nobody injected."""
    def records(which):
        return replay(streams, which, "once").stdout
    assert records("audited") == records("plain")
    assert records("audited-unwrapped") == records("unwrapped")
    events = [json.loads(line) for line in replay(streams, "audited", "events", 1).stdout.splitlines()
              if '"AgentPodNotInjected"' in line]
    # One for each pod: none of them has an owner.
    assert len(events) == len({e["involvedObject"]["uid"] for e in events}) > 15


# Where a replica starts anew, or the API server is away for longer than the grace period, logs may be
# gone that nobody else had read.
@pytest.mark.parametrize("which,modes", [
    ("unwrapped", ("cut", WAYS)), ("unwrapped", ("leader", 2 * RUNS)), ("unwrapped", ("clock", RUNS)),
    ("audited-unwrapped", ("cut", WAYS)), ("audited-unwrapped", ("leader", 2 * RUNS)),
    ("audited", ("kill", RUNS)), ("audited", ("trouble", RUNS))],
    ids=lambda value: value if isinstance(value, str) else value[0])
def test_whatever_happens_to_connections_no_last_words_are_lost(streams, which, modes):
    result = replay(streams, which, *modes)
    assert "no status" not in result.stderr and "not done" not in result.stderr
    assert " 0 differ" in result.stderr
