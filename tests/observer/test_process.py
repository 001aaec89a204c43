"""The real program against a cluster of the tests, over TLS."""
import datetime
import json
import re
import signal
import time

import pytest
import yaml

import injected
from cluster import Cluster, Observer
from injected import ROOT, STREAM
from waiting import HANG, wait_until

QUICK = ("--failover-delay", "1s", "--watch-idle", "1s", "--start-timeout-failing", "1s")


TIMES = ("startedAt", "finishedAt")
NAMESPACE = re.search('"namespace":"([^"]+)"', STREAM.read_text()).group(1)


def expected(which):
    records = yaml.safe_load((ROOT / f"tests/data/podwatch/expected-{which}.yaml").read_text())
    return {r["name"]: {k: v for k, v in r.items()
                        if k not in ("name", "conditions", "resolvedAt", *TIMES)}
            for r in records}


def spec_of(record):
    spec = {k: v for k, v in record["spec"].items() if k not in ("version", *TIMES)}
    return {"labels": record["metadata"]["labels"], **spec}


def of_today(events, ahead):
    """The recorded pods began a few seconds ago, by a clock that is ahead by so many seconds: what
    takes time counts from their own times."""
    begin = datetime.datetime(2026, 11, 23, 18, 38, 5)
    shift = datetime.datetime.utcnow() + datetime.timedelta(seconds=ahead) - begin

    def moved(match):
        time = datetime.datetime.strptime(match.group(0), "%Y-%m-%dT%H:%M:%S") + shift
        return time.strftime("%Y-%m-%dT%H:%M:%S")
    return json.loads(re.sub(r"2026-11-23T\d\d:\d\d:\d\d", moved, json.dumps(events)))


@pytest.fixture
def cluster(tmp_path):
    made = []

    def make(which, ahead=0):
        if which == "plain":
            both = list(map(json.loads, STREAM.read_text().splitlines())), []
        else:
            both = injected.variant(tmp_path)
        events, lines = of_today(both, ahead)
        made.append(Cluster(tmp_path, events, lines))
        made[0].server.ahead = ahead
        return made[0]
    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture
def observe(tmp_path):
    started = []

    def start(cluster, name, *arguments):
        started.append(Observer(tmp_path, cluster, name, *arguments))
        return started[-1]
    yield start
    for observer in started:
        if observer.process.returncode != -9:
            observer.stop()


def wait_for_all(cluster, records):
    """Written, with notifications."""
    wait_until(lambda: sum("notifications" in s for s in list(cluster.statuses.values()))
               >= len(records), f"{len(records)} records with notifications")
    assert {r["metadata"]["name"]: spec_of(r) for r in cluster.records.values()} == records


def step_through(cluster, observer):
    """Event by event, as it was recorded: the logs still exist when they are requested."""
    for count in range(len(cluster.events) + 1):
        cluster.advance(count)
        cluster.wait_seen(count)
        if count in (36, 61, 100, 113, 121, 131, 135, 138):
            wait_until(lambda: observer.metric("lastword_observer_open_terminations") == 0, "quiet")


def last_run(observer, result):
    """When the last one of that result ended, as the metrics say. No recorded pod names its agent."""
    return observer.metric(f'lastword_agent_last_{result}_timestamp_seconds'
                           f'{{namespace="{NAMESPACE}",agent=""}}')


def seconds(time):
    return datetime.datetime.fromisoformat(time.rstrip("Z") + "+00:00").timestamp()


def last_failure(cluster):
    return max(seconds(r["spec"]["finishedAt"]) for r in cluster.records.values()
               if "finishedAt" in r["spec"] and r["spec"]["errorType"] != "Completed")


def last_success(cluster):
    ends = [status["state"].get("terminated") for event in cluster.events
            for status in event["object"].get("status", {}).get("containerStatuses", [])
            if status["name"] == "main"]
    return max(seconds(end["finishedAt"]) for end in ends
               if end and end["exitCode"] == 0 and end["reason"] == "Completed")


@pytest.mark.parametrize("which", ["plain", "injected"])
def test_a_recorded_history(cluster, observe, which):
    c = cluster(which)
    observer = observe(c, "one", *QUICK)
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    wait_until(lambda: observer.get("/readyz")[0] == 200, "it to be ready")
    records = expected(which)
    step_through(c, observer)
    if which == "injected":
        # Lines of pods that are deleted at once may be missed: what was read must be right.
        wait_until(lambda: c.names() == set(records), "the records")
        return
    wait_for_all(c, records)

    # One Event for each record that is not grouped, with the record's name; no pod has an owner.
    sent = [entry for status in c.statuses.values() for entry in status["notifications"]]
    delivered = [e for e in sent if e["state"] == "Delivered"]
    assert {e["receiver"] for e in sent} == {"event-pod"}
    assert len(c.event_objects) >= len(delivered)
    event = next(e for e in c.event_objects.values() if "exit-101-alone" in e["message"])
    assert event["type"] == "Warning" and event["reason"] == "AgentExit"
    assert event["involvedObject"]["kind"] == "Pod"

    def runs(result):
        return sum(float(line.split()[-1]) for line in observer.get("/metrics")[1].splitlines()
                   if line.startswith("lastword_agent_runs_total") and result in line)
    # A success is no record: the last of them may still be read.
    wait_until(lambda: runs("succeeded") == 2, lambda: f"2 successes, not {runs('succeeded')}")
    assert runs("failed") == len(c.records)
    assert observer.metric("lastword_observer_lost_records_total") == 0
    assert last_run(observer, "success") == last_success(c)
    assert last_run(observer, "failure") >= last_failure(c)  # one that never started has no time
    assert observer.metric("process_resident_memory_bytes") > 1e6
    assert observer.get("/healthz") == (200, "ok\n")
    assert observer.get("/nothing")[0] == 404


def test_the_leader_is_killed(cluster, observe):
    c = cluster("plain")
    first = observe(c, "first", *QUICK)
    wait_until(lambda: first.metric("lastword_observer_leader") == 1, "it to lead")
    second = observe(c, "second", *QUICK)
    wait_until(lambda: second.get("/readyz")[0] == 200, "the second")
    c.advance(60)
    first.kill()
    c.advance(len(c.events))
    wait_for_all(c, expected("plain"))  # long before the Lease has run out, or after: all the same
    assert second.lines("this replica is the leader") or c.lease["spec"]["holderIdentity"] == "first"


def test_connections_break(cluster, observe):
    """410 in the stream, resets, half a line, silence: on a real connection."""
    c = cluster("plain")
    made = set()

    def trouble(request, place):
        kind = (place // 12) % 4
        if place % 12 != 5 or place in made:
            return False
        made.add(place)
        if kind == 0:
            request.send_chunk(json.dumps({"type": "ERROR", "object": {
                "kind": "Status", "code": 410, "reason": "Expired"}}).encode() + b"\n")
            request.end_stream()
        elif kind == 1:
            request.reset()
        elif kind == 2:
            request.send_chunk(json.dumps(c.events[place]).encode()[:1000])
            request.reset()
        else:
            request.connection.recv(1)  # until the observer has had enough
        return True
    c.trouble = trouble
    observer = observe(c, "one", *QUICK)
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    step_through(c, observer)
    wait_for_all(c, expected("plain"))
    assert len(made) == 14
    assert observer.metric("lastword_observer_lists_total") >= 4


def test_the_api_servers_clock(cluster, observe):
    """It is right, and so are its objects' times: this machine's clock is behind by an hour."""
    c = cluster("plain", ahead=3600)
    observer = observe(c, "one", *QUICK)
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    step_through(c, observer)
    wait_for_all(c, expected("plain"))
    sent = [seconds(event["firstTimestamp"]) for event in c.event_objects.values()]
    assert sent and all(3000 < at - time.time() < 4200 for at in sent), (sent, time.time())


def test_a_restart_writes_nothing_twice(cluster, observe):
    c = cluster("plain")
    c.advance(len(c.events))
    no_timeout = (*QUICK[:4], "--start-timeout-failing", "1h")  # nothing is left to the clock
    first = observe(c, "first", *no_timeout)
    wait_until(lambda: len(c.statuses) > 10 and
               first.metric("lastword_observer_open_terminations") == 0 and
               first.metric("lastword_observer_pending_records") == 0, "the records")
    records, events = dict(c.records), dict(c.event_objects)
    first.stop()
    assert c.lease["spec"]["holderIdentity"] == ""  # given up, so that nobody waits
    c.requests.clear()
    second = observe(c, "second", *no_timeout)
    wait_until(lambda: second.metric("lastword_observer_leader") == 1, "it to lead")
    wait_until(lambda: second.get("/readyz")[0] == 200 and
               second.metric("lastword_observer_open_terminations") == 0, "quiet")
    assert c.records == records and c.event_objects == events
    assert last_run(second, "failure") >= last_failure(c)
    assert not [r for r in c.requests if r[0] == "POST" and "agentexits" in r[1]]


@pytest.fixture
def held_up(cluster, observe):
    """A leader that holds records, and a server that takes none."""
    c = cluster("plain")
    c.refuse[("POST", "agentexits")] = (503, "ServiceUnavailable")
    observer = observe(c, "one", *QUICK)
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    c.advance(40)
    wait_until(lambda: observer.metric("lastword_observer_pending_records") > 0 and
               observer.metric("lastword_observer_open_terminations") == 0, "records that are not written")
    observer.process.send_signal(signal.SIGTERM)
    wait_until(lambda: observer.lines("stopping"), "it to take notice")
    return c, observer


def test_a_leader_that_must_stop_writes_what_it_holds(held_up):
    c, observer = held_up
    held = observer.metric("lastword_observer_pending_records")
    assert observer.get("/readyz")[0] == 503 and observer.get("/healthz")[0] == 200
    c.refuse.clear()
    observer.process.wait(HANG)  # stop() would be a second signal
    observer.stop()
    assert len(c.statuses) == len(c.records) == held
    # Another replica is let in when that is done, not before.
    assert c.lease["spec"]["holderIdentity"] == ""
    writes = [path for method, path in c.requests if method in ("POST", "PATCH", "PUT")]
    assert "/leases/" in writes[-1]
    assert not observer.lines("a record cannot be written and is printed instead")


def test_a_second_signal_ends_the_wait_and_what_it_held_is_printed(held_up):
    c, observer = held_up
    held = observer.metric("lastword_observer_pending_records")
    observer.process.send_signal(signal.SIGTERM)
    observer.stop()
    printed = observer.lines("a record cannot be written and is printed instead")
    assert len(printed) == held and not c.records
    assert all(line["record"]["kind"] == "AgentExit" for line in printed)


def test_what_is_not_valid_is_printed(cluster, observe):
    c = cluster("plain")
    c.refuse[("POST", "agentexits")] = (422, "Invalid")
    c.advance(40)
    observer = observe(c, "one", *QUICK)
    lines = wait_until(lambda: observer.lines("a record cannot be written and is printed instead"), "the line")
    assert lines[0]["record"]["kind"] == "AgentExit" and "Invalid" in lines[0]["error"]
    assert observer.metric("lastword_observer_lost_records_total") >= 1


def test_a_server_that_is_away(cluster, observe):
    """It refuses everything for a while, then all is there."""
    c = cluster("plain")
    observer = observe(c, "one", *QUICK)
    wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    wait_until(lambda: any("watch=1" in path for _, path in list(c.requests)), "it to watch")
    for method in ("GET", "POST", "PATCH"):
        c.refuse[(method, "")] = (503, "ServiceUnavailable")
    c.advance(110)
    wait_until(lambda: len([r for r in c.requests if r[0] == "POST"]) > 5, "attempts")
    c.refuse.clear()
    step_through(c, observer)
    wait_for_all(c, expected("plain"))
