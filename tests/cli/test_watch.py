"""lastword exits --watch, against a kubectl whose watches end, fail and expire."""
import json
import os
import select
import signal
import subprocess
import urllib.parse

import pytest
import yaml

from record_cluster import BUILD, load_records

SECONDS = 120  # a bound on hanging


class Watch:
    """A `lastword exits -w` that runs."""

    def __init__(self, cluster, *arguments, watches, list_=(), environment=None):
        cluster.hold(list(list_))
        (cluster.folder / "watches.json").write_text(json.dumps(watches))
        self.process = subprocess.Popen(
            [BUILD / "bin/lastword", "exits", "-w", *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**cluster.environment, **(environment or {})},
            start_new_session=True)
        self.cluster = cluster
        self.text = b""

    def read_until(self, is_there):
        """What it has printed once that is there."""
        while not is_there(self.text.decode()):
            ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert chunk, (self.text, self.process.poll())
            self.text += chunk
        return self.text.decode()

    def lines(self, count):
        return self.read_until(lambda text: text.count("\n") >= count).splitlines()

    def end(self, number=signal.SIGINT):
        """The rest of its output, and its messages."""
        self.process.send_signal(number)
        rest, messages = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, messages
        return (self.text + rest).decode(), messages.decode()

    def watches(self):
        """The resourceVersions from which it watched."""
        queries = [urllib.parse.parse_qs(call[-1].partition("?")[2], keep_blank_values=True)
                   for call in self.cluster.calls() if call[0] == "get"]
        return [query["resourceVersion"][0] for query in queries if "watch" in query]


@pytest.fixture
def watch(cluster):
    started = []

    def start(*arguments, **options):
        started.append(Watch(cluster, *arguments, **options))
        return started[-1]
    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def record(name, version="100", silent=None, **spec):
    made = json.loads(json.dumps(load_records()[1]))
    made["metadata"].update(name=f"{name}.00000000.main.0", resourceVersion=version)
    made["spec"].update({"pod": name, "summary": f"exit 1: {name}", **spec})
    made.pop("status", None)
    if silent is not None:
        made["status"] = {"conditions": [{"type": "Silent", "status": silent}]}
    return made


def added(*arguments, **fields):
    return {"type": "ADDED", "object": record(*arguments, **fields)}


def modified(*arguments, **fields):
    return {"type": "MODIFIED", "object": record(*arguments, **fields)}


def bookmark(version):
    return {"type": "BOOKMARK", "object": {"kind": "AgentExit",
                                           "metadata": {"resourceVersion": version}}}


EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired",
                                       "message": "too old resource version"}}


def pods(lines):
    return [line.split()[0] for line in lines]


def test_the_list_and_then_what_comes(watch):
    one = watch(watches=[[added("second")]], list_=[record("first")])
    assert pods(one.lines(3)) == ["POD", "first", "second"]
    text, messages = one.end()
    assert text.count("\n") == 3 and messages == ""
    assert one.watches() == ["77"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_cleanly_and_its_kubectl_with_it(watch, number):
    one = watch(watches=[[added("first")]])
    one.lines(2)
    group = one.process.pid
    one.end(number)
    with pytest.raises(ProcessLookupError):  # nobody of its session is left
        os.killpg(group, 0)


def test_ctrl_c_reaches_kubectl_too(watch):
    one = watch(watches=[[added("first")]])
    one.lines(2)
    os.killpg(one.process.pid, signal.SIGINT)
    rest, messages = one.process.communicate(timeout=SECONDS)
    assert (one.process.returncode, rest, messages) == (0, b"", b"")


def test_it_ends_when_nobody_reads(watch):
    one = watch(watches=[[added("first")]])
    one.lines(2)
    one.process.stdout.close()
    assert one.process.wait(SECONDS) == 0
    assert one.process.stderr.read() == b""


def test_a_watch_that_ended_goes_on_from_its_last_event(watch):
    one = watch(watches=[[added("a", "101"), bookmark("150")], [added("b", "160")],
                         [{"type": "DELETED", "object": record("a", "170")}], [added("c", "180")]])
    assert pods(one.lines(4)) == ["POD", "a", "b", "c"]
    _, messages = one.end()
    assert messages == "" and one.watches() == ["77", "150", "160", "170"]


def test_events_come_in_any_pieces(watch):
    text = json.dumps(added("a", summary="é" * 3000)) + "\n" + json.dumps(added("b")) + "\n"
    pieces = [{"raw": text[i:i + 1000]} for i in range(0, len(text), 1000)]
    assert pods(watch(watches=[pieces]).lines(3)) == ["POD", "a", "b"]


@pytest.mark.parametrize("end", [EXPIRED, {"fail": "Error from server (Expired): too old resource "
                                                   "version: 77 (100)"}])
def test_an_expired_watch_reads_the_list_again(watch, end):
    """What the list then has and was not printed is not lost."""
    missed = [record("a"), record("b", silent="True"), record("missed")]
    one = watch(watches=[[added("a"), {"records": missed}, end], [added("later")]],
                list_=[record("b")])
    assert pods(one.lines(6)) == ["POD", "b", "a", "b", "missed", "later"]
    _, messages = one.end()
    assert messages == "" and one.watches() == ["77", "77"]


def test_a_lost_connection_is_reported_once_and_tried_again(watch):
    lost = {"fail": "Unable to connect to the server: connection refused"}
    one = watch(watches=[[added("a", "101")], [lost], [lost], [added("b", "102")]])
    assert pods(one.lines(3)) == ["POD", "a", "b"]
    _, messages = one.end()
    assert messages.count("connection refused; trying again") == 1 == messages.count("\n")
    assert one.watches() == ["77", "101", "101", "101"]


def test_what_is_no_event_is_no_end(watch):
    one = watch(watches=[[{"raw": "<html>\n"}], [added("a")]])
    assert pods(one.lines(2)) == ["POD", "a"]
    assert "an event of the watch: " in one.end()[1]


def test_a_record_is_printed_again_when_what_is_shown_changes(watch):
    notified = record("a", "102")
    notified["status"] = {"notifications": [{"receiver": "x", "state": "Delivered"}]}
    one = watch(watches=[[added("a"), {"type": "MODIFIED", "object": notified},
                          modified("a", silent="True"), added("last")]])
    lines = one.lines(4)
    assert pods(lines) == ["POD", "a", "a", "last"]
    assert [line.split()[4] for line in lines] == ["SILENT", "-", "True", "-"]


def test_filters_hold(watch):
    one = watch("--cause", "Panic", "-c", "main", "--unresolved", "-l", "a=b",
                watches=[[added("a", errorType="Error"), added("b", errorType="Panic"),
                          added("c", errorType="Panic", container="other"),
                          added("d", errorType="Panic")]])
    assert pods(one.lines(3)) == ["POD", "b", "d"]
    one.end()
    assert "&labelSelector=a%3Db&" in one.cluster.calls()[-1][-1]


def test_names(watch):
    one = watch("-o", "name", watches=[[added("a"), modified("a", silent="True"), added("b")]])
    assert one.lines(2) == ["agentexit.lastword.dev/a.00000000.main.0",
                            "agentexit.lastword.dev/b.00000000.main.0"]


def test_a_template_of_each(watch):
    one = watch("-o", "jsonpath={.spec.pod}{'\\n'}", watches=[[added("second")]],
                list_=[record("first")])
    assert one.lines(2) == ["first", "second"]
    one.end()


def test_a_template_that_wants_more_than_there_is(watch):
    """It says so of each record, and goes on."""
    one = watch("-o", "jsonpath={.spec.runningContainers[9]}", watches=[[added("second")]],
                list_=[record("first", runningContainers=[])])
    messages = one.process.stderr.readline()
    one.end()
    assert b"an array of 0 elements has no [9:10]" in messages


def test_the_other_records_of_a_list_are_printed(watch):
    one = watch("-o", "jsonpath={.spec.pod}: {.spec.runningContainers[1]}{'\\n'}", watches=[[]],
                list_=[record("first", runningContainers=["a"]),
                       record("second", runningContainers=["a", "b"])])
    assert one.lines(1) == ["second: b"]
    text, messages = one.end()
    assert text == "second: b\n" and "an array of 1 elements has no [1:2]" in messages


def test_json_and_yaml_are_each_object_by_itself(watch):
    objects = [record("a"), record("b"), record("b", silent="True")]
    events = [{"type": "ADDED", "object": one} for one in objects[1:]]

    def as_json(text):
        decoder, found = json.JSONDecoder(), []
        while text.strip():
            try:
                value, end = decoder.raw_decode(text)
            except ValueError:
                break
            found.append(value)
            text = text[end:].lstrip()
        return found
    one = watch("-o", "json", watches=[events], list_=objects[:1])
    assert as_json(one.read_until(lambda text: len(as_json(text)) == 3)) == objects
    one.end()
    one = watch("-o", "yaml", watches=[events], list_=objects[:1])
    one.read_until(lambda text: text.count("\n---\n") == 2)
    assert list(yaml.safe_load_all(one.end()[0])) == objects


def test_all_namespaces_and_wide(watch):
    one = watch("-A", "-o", "wide", "--no-headers", watches=[[added("a"), added("b")]])
    assert [line.split()[:2] for line in one.lines(2)] == [["agents", "a"], ["agents", "b"]]


def test_titles_come_again_with_other_columns(watch):
    """A pod's name so long that the narrow table loses a column."""
    one = watch(watches=[[added("a"), added("a-very-long-name-" * 4, container="b" * 30)]],
                environment={"COLUMNS": "60"})
    lines = one.lines(4)
    assert [line.split()[0] for line in lines[:3:2]] == ["POD", "POD"]
    assert lines[0].split() != lines[2].split() and max(map(len, lines)) <= 60


def test_the_first_list_must_be_readable(watch):
    one = watch(watches=[[]])
    one.process.kill()
    one.process.communicate()
    one.cluster.behave(namespace="agents", fail="Error from server (Forbidden): no")
    assert b"(Forbidden)" in one.cluster.lastword("exits", "-w", status=1).stderr


@pytest.mark.parametrize("arguments", [("-f", "-"), ("--until", "1h")])
def test_what_cannot_be_watched(cluster, arguments):
    cluster.lastword("exits", "-w", *arguments, status=2)


def test_a_full_disk_is_an_error(cluster):
    (cluster.folder / "watches.json").write_text("[]")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BUILD / "bin/lastword", "exits", "-w"], stdout=full,
                              stderr=subprocess.PIPE, env=cluster.environment, timeout=SECONDS)
    assert done.returncode == 1 and b"writing standard output: No space left" in done.stderr
