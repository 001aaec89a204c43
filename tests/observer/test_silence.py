"""Silence and resolution, in random histories and in some that were chosen: what comes of them must be
what the whole truth says (histories.py), and the same whatever happens to observers and connections."""
import json
import subprocess

import pytest

import histories
from injected import BUILD

HANG = 300
SEEDS = range(4) if "asan" in BUILD.parts else range(40)


def drive(files, *modes):
    result = subprocess.run([BUILD / "tests/replay_driver", *files, *modes], capture_output=True,
                            text=True, timeout=HANG)
    assert result.returncode == 0, result.stderr[-4000:]
    for problem in ("not done", "resolved again", "no status", "gauge"):
        assert problem not in result.stderr, result.stderr[-4000:]
    return [json.loads(line) for line in result.stdout.splitlines()]


def check(tmp_path, pods, *modes):
    records = drive(histories.write(tmp_path, pods), "once", *modes)
    got = {r["metadata"]["name"]: (r["spec"]["exitCode"], r["status"].get("silent"),
                                   "resolvedAt" in r["status"]) for r in records}
    assert got == histories.expected(pods)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_histories(tmp_path, seed):
    check(tmp_path, histories.make(seed), "cut", "0", "kill", "3", "trouble", "2", "half-open",
          "clock", "3")


@pytest.mark.parametrize("seed", SEEDS)
def test_two_replicas_that_are_killed(tmp_path, seed):
    """Every few seconds one of them: a pod that is gone meanwhile may have been seen by none that
    lived to record it, so here no pod is deleted."""
    check(tmp_path, histories.make(seed, deletions=0), "replicas", "5")


def check_last_words(tmp_path, pods, *modes):
    records = drive(histories.write(tmp_path, pods, logs=True), "once", *modes)
    for record in records:
        assert record["spec"]["source"] == "log", record
        words = histories.last_words(record["metadata"]["name"])
        assert record["spec"]["logTail"] == words + "\n", record
    assert {r["metadata"]["name"] for r in records} == set(histories.expected(pods))


@pytest.mark.parametrize("seed", SEEDS)
def test_last_words_of_agents_that_are_not_wrapped(tmp_path, seed):
    """Where pods are deleted, and their logs with them, only connections are cut."""
    check_last_words(tmp_path, histories.make(seed), "cut", "0")
    check_last_words(tmp_path, histories.make(seed, deletions=0), "kill", "3", "replicas", "3",
                     "half-open")


def test_the_random_histories_have_all_that_matters():
    """Silence that lasts, that is over and that never was; records that are resolved, and not."""
    seen = [value for seed in SEEDS for value in histories.expected(histories.make(seed)).values()]
    assert {silent for _, silent, _ in seen} == {None, "True", "False"}
    assert {resolved for *_, resolved in seen} == {True, False}


# ---- Chosen histories ----

class Chosen(histories.Pod):
    """A pod whose main fails with 101, with helpers that end when they are told; times in seconds."""

    def __init__(self, number=0, fails=30, deleted=None, family="nightly", code=101, **helpers):
        begin = fails - 10
        self.number, self.policy, self.restarts_all = number, "Never", False
        self.family, self.task = family, None
        self.chance = histories.random.Random(number)
        self.main = [histories.Run(begin, fails, code)]
        self.helpers = {name: [histories.Run(begin, end)] for name, end in helpers.items()}
        self.begin, self.deleted = begin, deleted
        self.gone = deleted and deleted + 5


def silent_condition(records):
    return [r["status"].get("conditions", [None])[0] for r in records]


def test_argo_wait(tmp_path):
    """The step fails, wait ends three seconds later: nobody is alarmed."""
    files = histories.write(tmp_path, [Chosen(wait=33)])
    record, = drive(files, "once", "cut", "4", "kill", "5", "replicas", "5")
    assert record["spec"]["runningContainers"] == ["wait"] and record["spec"]["final"]
    assert record["status"] == {}
    events = drive(files, "events", "1")
    assert {e["reason"] for e in events} == {"AgentExit"}


def test_a_sidecar_runs_on(tmp_path):
    files = histories.write(tmp_path, [Chosen(proxy=histories.FOREVER)])
    record, = drive(files, "once", "cut", "4", "kill", "5", "replicas", "5")
    assert silent_condition([record]) == [{
        "type": "Silent", "status": "True", "lastTransitionTime": "2026-11-23T18:38:55.000000Z",
        "reason": "OtherContainersRun",
        "message": "another container of the pod still ran 30s after this one had failed"}]
    assert "resolvedAt" not in record["status"]
    events = drive(files, "events", "1")
    assert sorted((e["reason"], e["involvedObject"]["kind"]) for e in events) == [
        ("AgentExit", "Job"), ("AgentExit", "Pod"),
        ("SilentAgentExit", "Job"), ("SilentAgentExit", "Pod")]
    silent = next(e for e in events if e["reason"] == "SilentAgentExit"
                  and e["involvedObject"]["kind"] == "Pod")
    assert "container main, run 0: exit 101" in silent["message"]
    # 30 s after the kubelet's time of the failure, and SILENCE_MARGIN.
    assert silent["firstTimestamp"][:19] == "2026-11-23T18:38:56"


@pytest.mark.parametrize("deleted, seconds", [(100, "1m11s"), (700, "11m11s")])
def test_the_pod_is_deleted(tmp_path, deleted, seconds):
    files = histories.write(tmp_path, [Chosen(proxy=deleted + 1, deleted=deleted)])
    record, = drive(files, "once", "cut", "4", "kill", "5", "replicas", "5", "half-open")
    condition, = silent_condition([record])
    assert (condition["status"], condition["message"]) == (
        "False", f"the pod was silent for {seconds}")
    assert condition["reason"] in ("PodEnded", "PodGone")


class Forgotten(Chosen):
    """A kubelet that has lost the containers of a pod which is being deleted says so without their
    times, as 1.20 does: that the pod was silent does not follow from it any more. The object stays
    for a minute."""

    def __init__(self, deleted):
        super().__init__(proxy=deleted + 1, deleted=deleted)
        self.gone = deleted + 60

    def status(self, name, runs, time):
        status = super().status(name, runs, time)
        if time >= self.deleted and name != "main":
            status["state"] = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}
        return status


@pytest.mark.parametrize("deleted", [100, 700])
def test_the_kubelet_forgets_a_pod_that_is_deleted(tmp_path, deleted):
    """Observers that come then know of the silence from the record alone."""
    files = histories.write(tmp_path, [Forgotten(deleted)])
    record, = drive(files, "once", "cut", "4", "kill", "20", "replicas", "20")
    condition, = silent_condition([record])
    assert condition["status"] == "False"


class Renamed(Chosen):
    """The label with the agent's name changes when the pod is deleted."""

    def object(self, time):
        pod = super().object(time)
        if self.deleted <= time:
            pod["metadata"]["labels"]["agent"] = "max"
        return pod


def test_an_agent_that_changes_its_name_while_it_is_silent(tmp_path):
    files = histories.write(tmp_path, [Renamed(proxy=101, deleted=100)])
    condition, = silent_condition(drive(files, "once"))
    assert condition["status"] == "False"


def test_deleted_before_anybody_was_alarmed(tmp_path):
    files = histories.write(tmp_path, [Chosen(proxy=51, deleted=50)])
    assert silent_condition(drive(files, "once", "cut", "4", "kill", "5")) == [None]
    assert {e["reason"] for e in drive(files, "events", "1")} == {"AgentExit"}


class Vanishing(Chosen):
    """Its failure is first seen in its last event: afterwards only the record knows of it."""

    def events(self):
        first, *_, last = super().events()
        return [first, last]


def test_the_observer_is_killed_before_it_notifies(tmp_path):
    """The pod is gone: the next leader finds the record and sees that nothing was sent (no status)."""
    files = histories.write(tmp_path, [Vanishing(deleted=29)])
    record, = drive(files, "once", "unnotified")
    assert record["spec"]["exitCode"] == 101
    assert {e["reason"] for e in drive(files, "events", "1")} == {"AgentExit"}


def test_a_later_success_resolves(tmp_path):
    """Of the same agent, and only records from before."""
    pods = [Chosen(1, fails=30), Chosen(2, fails=40, family="hourly"), Chosen(3, fails=90),
            Chosen(4, fails=70, code=0)]
    files = histories.write(tmp_path, pods)
    records = drive(files, "once", "cut", "4", "kill", "5", "replicas", "5", "trouble", "3")
    resolved = {r["spec"]["pod"]: r["status"].get("resolvedAt") for r in records}
    assert resolved == {"pod-1": "2026-11-23T18:39:05.000000Z", "pod-2": None, "pod-3": None}


def test_many_records_are_resolved_at_once(tmp_path):
    """In pages; each of them once (resolved again)."""
    pods = [Chosen(n, fails=30 + n % 5) for n in range(1, 50)] + [Chosen(50, fails=90, code=0)]
    records = drive(histories.write(tmp_path, pods), "once", "replicas", "3", "trouble", "3")
    assert len(records) == 49 and all("resolvedAt" in r["status"] for r in records)
