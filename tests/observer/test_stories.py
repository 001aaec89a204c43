"""Short histories that nobody recorded: what becomes of them, with time passing as it would."""
import copy
import json
import subprocess

import pytest

from injected import BUILD

START = "2026-11-23T18:37:55Z"
RUNNING = {"running": {"startedAt": START}}


def ended(code, reason="Error"):
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": START,
                           "finishedAt": "2026-11-23T18:38:05Z"}}


def pod(main, helper=RUNNING, phase="Running", restarts=0, metadata=None, spec=None, status=None,
        more=()):
    statuses = [{"name": "main", "restartCount": restarts, "state": main},
                {"name": "helper", "restartCount": 0, "state": helper}]
    return {"metadata": {"namespace": "agents", "name": "coder", "uid": "12345678-aaaa",
                         "labels": {"agent": "rex", "task-id": "7"}, **(metadata or {})},
            "spec": {"restartPolicy": "Never", "nodeName": "node1",
                     "containers": [{"name": "main"}, {"name": "helper"}, *more], **(spec or {})},
            "status": {"phase": phase, "startTime": START, "containerStatuses": statuses,
                       **(status or {})}}


OWNED = {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "coder",
                              "uid": "99", "controller": True}]}
DELETED = {"deletionTimestamp": "2026-11-23T18:38:30Z", "deletionGracePeriodSeconds": 30}
TAINTED = {"conditions": [{"type": "DisruptionTarget", "status": "True",
                           "reason": "DeletionByTaintManager"}]}
WAITING = {"waiting": {"reason": "PodInitializing"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}
NO_IMAGE = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}


@pytest.fixture
def replay(tmp_path):
    def replay(story, seconds=5, what="slow"):
        """story: pods as MODIFIED events; a pair says another type. UNLABELED: the watch says
        DELETED, the pod is still there."""
        events = []
        for version, step in enumerate(story):
            kind, object_ = step if isinstance(step, tuple) else ("MODIFIED", step)
            object_ = copy.deepcopy(object_)
            object_["metadata"]["resourceVersion"] = str(1000 + version)
            remains = kind == "UNLABELED"
            events.append({"type": "DELETED" if remains else kind, "remains": remains,
                           "object": object_})
        (tmp_path / "stream").write_text("".join(json.dumps(e) + "\n" for e in events))
        (tmp_path / "lines").write_text("")
        result = subprocess.run(
            [BUILD / "tests/replay_driver", tmp_path / "stream", tmp_path / "lines", what,
             str(seconds)], capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]
    return replay


def brief(records):
    return [(r["metadata"]["name"].split(".", 2)[2], r["spec"]["errorType"],
             r["spec"].get("exitCode"), bool(r["spec"].get("runningContainers"))) for r in records]


def test_a_pod_vanishes(replay):
    """Deleted with grace 0: the last object that anybody saw was running."""
    assert brief(replay([pod(RUNNING), ("DELETED", pod(RUNNING))])) == [
        ("main.0", "Unknown", None, False)]


def test_a_pod_that_loses_its_label_runs_on(replay):
    """A watch says DELETED of it. Another pod of its name is not it."""
    failing = pod(NO_IMAGE, phase="Pending")
    assert replay([pod(RUNNING), ("UNLABELED", pod(RUNNING))]) == []
    assert replay([failing, ("UNLABELED", failing)]) == []
    labelled_again = [pod(RUNNING), ("UNLABELED", pod(RUNNING)), pod(RUNNING)]
    assert brief(replay([*labelled_again, ("DELETED", pod(RUNNING))])) == [
        ("main.0", "Unknown", None, False)]
    other = pod(RUNNING, metadata={"uid": "87654321-bbbb"})
    assert brief(replay([pod(RUNNING), other, ("DELETED", pod(RUNNING))])) == [
        ("main.0", "Unknown", None, False)]


def test_a_node_is_lost(replay):
    """Known when its kubelet has had its time, long before the object goes; sent once."""
    lost = pod(RUNNING, metadata=DELETED, status=TAINTED, restarts=2)
    assert brief(replay([pod(RUNNING, restarts=2), lost])) == [("main.2", "NodeLost", None, False)]
    assert brief(replay([pod(RUNNING, restarts=2), lost, ("DELETED", lost)])) == [
        ("main.2", "NodeLost", None, False)]
    # The node comes back: the record is there already.
    back = pod(ended(137), ended(137), "Failed", metadata=DELETED, status=TAINTED, restarts=2)
    records = replay([lost, back, ("DELETED", back)], seconds=60)
    assert brief(records) == [("main.2", "NodeLost", None, False)]


def test_a_taint_on_a_node_that_is_well(replay):
    """The end comes within the grace period, and is the one that is recorded."""
    deleted = pod(RUNNING, metadata=DELETED, status=TAINTED)
    dead = pod(ended(3), ended(0, "Completed"), "Failed", metadata=DELETED, status=TAINTED)
    records = replay([pod(RUNNING), deleted, dead, ("DELETED", dead)])
    assert [(name, code) for name, _, code, _ in brief(records)] == [("main.0", 3)]
    done = pod(ended(0, "Completed"), ended(0, "Completed"), "Succeeded", metadata=DELETED,
               status=TAINTED)
    records = replay([pod(RUNNING), deleted, done, ("DELETED", done)])
    assert all(r["spec"].get("exitCode") == 0 for r in records)


def test_an_end_that_was_reset(replay):
    """An evicted pod's status may forget its containers."""
    evicted = pod(CREATING, CREATING, "Failed", status={"reason": "Evicted"})
    assert brief(replay([pod(RUNNING), evicted])) == [("main.0", "Evicted", None, False)]


def test_an_image_that_comes_late_is_no_termination(replay):
    assert replay([pod(NO_IMAGE, phase="Pending"), pod(CREATING, phase="Pending"), pod(RUNNING),
                 pod(ended(0, "Completed"))]) == []


def test_an_image_that_never_comes(replay):
    """One record, however often it is tried, and another one when it ran after all and failed."""
    pending = pod(NO_IMAGE, phase="Pending")
    back_off = pod({"waiting": {"reason": "ImagePullBackOff"}}, phase="Pending")
    records = replay([pending, back_off, pending, back_off], seconds=40)
    assert brief(records) == [("main.never-0", "NeverStarted", None, False)]
    records = replay([pending, back_off, pod(RUNNING), pod(ended(3))], seconds=40)
    assert sorted(brief(records)) == [("main.0", "Error", 3, True),
                                      ("main.never-0", "NeverStarted", None, False)]


def test_what_waits_to_be_reported_is_redacted_before_it_is_cut(replay):
    """By the pod's own patterns too: a part of a secret has no form that one could know."""
    watchdog = {"name": "lastword-watchdog", "command": [
        "/shim", "watch", "--container", "main", "--redact", "corp-[a-z]{8}",
        "--context", "task_id=for corp-abcdefghij"]}
    message = "x" * 240 + " corp-abcdefghijklmnopqrstuvwxyz"
    waiting = {"waiting": {"reason": "ErrImagePull", "message": message}}
    records = replay([pod(waiting, phase="Pending", more=[watchdog])], seconds=40)
    spec = records[0]["spec"]
    assert spec["errorType"] == "NeverStarted"
    assert spec["taskId"] == "for [redacted]"
    assert spec["message"].startswith("xxx") and len(spec["message"]) == 256
    assert "corp" not in json.dumps(records)
    # One that vanished as well: its context is all that is left.
    records = replay([pod(RUNNING, more=[watchdog]), ("DELETED", pod(RUNNING, more=[watchdog]))])
    assert records[0]["spec"]["taskId"] == "for [redacted]"


def test_a_pod_given_up_before_it_started(replay):
    """Deleted while its image fails: a termination. Deleted while it just waits: none."""
    failing = pod(NO_IMAGE, phase="Pending")
    assert brief(replay([failing, ("DELETED", failing)])) == [
        ("main.never-0", "NeverStarted", None, False)]
    waiting = pod(CREATING, phase="Pending")
    assert replay([waiting, ("DELETED", waiting)]) == []


def test_waiting_for_nothing(replay):
    """A volume that cannot be mounted: no reason is given for ever."""
    assert brief(replay([pod(CREATING, phase="Pending")])) == [
        ("main.never-0", "NeverStarted", None, False)]
    # An init container that works for long, and a pod that waits for a node, are no terminations.
    init = {"initContainerStatuses": [{"name": "clone", "restartCount": 0, "state": RUNNING}]}
    assert replay([pod(WAITING, WAITING, "Pending", spec={"initContainers": [{"name": "clone"}]},
                     status=init)]) == []
    assert replay([pod({}, {}, "Pending", status={"startTime": None})]) == []


def test_pod_and_owner_are_notified(replay):
    events = replay([pod(RUNNING, metadata=OWNED),
                   pod(ended(101), ended(0, "Completed"), "Failed", metadata=OWNED)],
                  what="events")
    sent = {e["involvedObject"]["kind"]: e for e in events}
    assert set(sent) == {"Job", "Pod"}
    assert sent["Job"]["involvedObject"] == {"apiVersion": "batch/v1", "kind": "Job",
                                             "namespace": "agents", "name": "coder", "uid": "99"}
    assert "pod coder, container main, run 0: exit 101" in sent["Job"]["message"]
    assert sent["Pod"]["involvedObject"]["fieldPath"] == "spec.containers{main}"
    assert all(e["type"] == "Warning" and e["reason"] == "AgentExit" for e in events)


def test_several_agents(replay):
    """Each has its own record, which says that the other one still ran, in the same second too."""
    status = json.dumps({"containers": [{"name": "main"}, {"name": "helper"}]})
    both = {"annotations": {"lastword.dev/status": status}}
    records = replay([pod(RUNNING, RUNNING, metadata=both), pod(ended(2), RUNNING, metadata=both),
                    pod(ended(2), ended(3), "Failed", metadata=both)])
    assert sorted(brief(records)) == [("helper.0", "Error", 3, True), ("main.0", "Error", 2, True)]


def test_context_of_a_pod_without_a_watchdog(replay):
    record = replay([pod(ended(1))])[0]
    assert (record["spec"]["agent"], record["spec"]["taskId"]) == ("rex", "7")
    assert record["metadata"]["labels"]["lastword.dev/agent"] == "rex"
