"""lastword exits and lastword why, against a kubectl that answers like an API server."""
import json
import os
import pathlib
import pty
import re
import shlex
import subprocess
import unicodedata

import pytest
import yaml

from record_cluster import BUILD, DATA, ROOT, load_records, read_terminal

TRANSCRIPTS = DATA / "transcripts.txt"


def read_transcripts(path=TRANSCRIPTS):
    """(call, expected lines) of each."""
    calls = []
    for line in path.read_text().splitlines():
        if line.startswith("$ "):
            calls.append((line, []))
        elif calls:
            calls[-1][1].append(line)
    return calls


def transcribe(cluster, call):
    """What the call did, in the form of the file."""
    words = shlex.split(call[2:])
    environment = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    assert words.pop(0) == "lastword"
    words = [str(cluster.folder / "list.json") if word == "RECORDS" else word for word in words]
    done = subprocess.run([BUILD / "bin/lastword", *words], capture_output=True, text=True,
                          env={**cluster.environment, **environment}, timeout=60)
    lines = done.stdout.splitlines() + ["! " + line for line in done.stderr.splitlines()]
    if done.returncode != 0:
        lines.append(f"? {done.returncode}")
    return [re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>", line)
            .replace(str(cluster.folder), "<folder>") for line in lines]


@pytest.mark.parametrize("call, expected", read_transcripts(), ids=lambda x: str(x)[:60])
def test_transcript(cluster, call, expected):
    (cluster.folder / "list.json").write_text(json.dumps({"items": load_records()}))
    assert transcribe(cluster, call) == expected


def columns(text):
    """Of a line on a terminal."""
    return sum(0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else
               2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@pytest.mark.parametrize("command", [("exits",), ("exits", "-n", "ugly")])
def test_tables_fit_every_width(cluster, command):
    records = json.dumps({"items": load_records()}).encode()
    command = (*command, "-f", "-")
    full = cluster.lastword(*command, stdin=records).stdout.decode().splitlines()
    for width in range(40, 201, 16):
        lines = cluster.lastword(*command, stdin=records, environment={"COLUMNS": str(width)}
                                 ).stdout.decode().splitlines()
        assert len(lines) == len(full)
        assert all(columns(line) <= width for line in lines), (width, lines)
        assert not any(line.endswith(" ") for line in lines)
        # No column is given up or cut while there is room for all.
        if max(map(columns, full)) <= width:
            assert lines == full


def harmful(text):
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")
            and c not in "\n\t\u200c\u200d"]


def ugly_records():
    """Every code point that could do harm, in every text."""
    points = [chr(p) for p in [*range(1, 0x20), *range(0x7f, 0xa0), 0xad, 0x61c,
                               *range(0x200b, 0x2010), *range(0x2028, 0x2030),
                               *range(0x2060, 0x2070), 0xfeff, *range(0xfff9, 0xfffc),
                               0xe0001, 0xe007f]]
    text = "a" + "b".join(points) + "c"
    records = load_records()[:1]
    spec = records[0]["spec"]
    for key in ("node", "owner", "container", "taskId", "workflowId", "agent", "errorType",
                "detail", "evidence", "signal", "summary", "payloadSnippet", "source", "reason", "message",
                "podReason", "disruption", "logTail"):
        spec[key] = text
    spec["context"] = {text: text}
    spec["logBytesTotal"] = 7
    records[0]["status"] = {"notifications": [{"receiver": text, "state": text, "message": text}]}
    return records


@pytest.mark.parametrize("command", [("exits",), ("exits", "-o", "wide"), ("exits", "-o", "json"),
                                     ("why", "coder-7f9", "--log"),
                                     ("why", "coder-7f9", "-o", "json"),
                                     ("exits", "-o", "yaml"), ("groups",),
                                     ("groups", "-o", "json")])
def test_nothing_steers_the_terminal(cluster, command):
    records = ugly_records()
    cluster.hold(records)
    text = cluster.lastword(*command).stdout.decode()
    assert ("coder-7f9" in text or "groups" in command) and harmful(text) == []
    if "json" in command and "groups" not in command:
        assert json.loads(text)["items"] == records
    if "yaml" in command:
        assert yaml.safe_load(text)["items"] == records


def test_what_is_no_utf8_is_replaced(cluster):
    records = json.dumps({"items": load_records()}).encode()
    records = records.replace(b"exit 101", b"exit \xff\xfe\xc3(\x9b2J\xed\xa0\x80")
    cluster.behave(body=records.decode(errors="surrogateescape"))
    text = cluster.lastword("exits", "-n", "agents").stdout.decode()
    assert "exit \ufffd\ufffd\ufffd(\ufffd2J\ufffd\ufffd\ufffd" in text


def many(count):
    records = load_records()[:1] * count
    records = [json.loads(json.dumps(record)) for record in records]
    for i, record in enumerate(records):
        record["metadata"]["name"] = record["spec"]["pod"] = f"pod-{i:05}"
        record["metadata"]["labels"]["lastword.dev/pod"] = f"pod-{i:05}"
        record["spec"]["finishedAt"] = f"2026-01-{i % 28 + 1:02}T00:00:00Z"
    return records


def test_hundreds_of_records_come_page_by_page(cluster):
    cluster.hold(many(900))
    cluster.behave(namespace="agents", page=120)
    lines = cluster.lastword("exits").stdout.decode().splitlines()
    assert len(lines) == 901
    pods = [line.split()[0] for line in lines[1:]]
    assert pods == sorted(pods, key=lambda pod: (int(pod[4:]) % 28, pod))
    gets = [call[-1] for call in cluster.calls() if call[0] == "get"]
    assert len(gets) == 8
    assert gets[0] == "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits?limit=250"
    assert gets[1] == gets[0] + "&continue=120%2F%2B%3D%20%26%3F"


def test_an_expired_list_is_begun_anew(cluster):
    cluster.hold(many(300))
    cluster.behave(namespace="agents", page=100, expire=2)
    assert len(cluster.lastword("exits").stdout.decode().splitlines()) == 301
    cluster.behave(namespace="agents", page=100, expire=1000)
    done = cluster.lastword("exits", status=1)
    assert b"(Expired)" in done.stderr and done.stdout == b""


def test_json_is_the_list_as_it_is(cluster):
    records = load_records()
    records[0]["spec"]["exitCode"] = 9007199254740993  # to the last digit
    cluster.hold(records)
    done = json.loads(cluster.lastword("exits", "-A", "-o", "json").stdout)
    assert (done["apiVersion"], done["kind"]) == ("lastword.dev/v1alpha1", "AgentExitList")
    key = lambda record: record["metadata"]["name"]  # noqa: E731
    assert sorted(done["items"], key=key) == sorted(records, key=key)
    empty = json.loads(cluster.lastword("exits", "-n", "none", "-o", "json").stdout)
    assert empty["items"] == []


@pytest.mark.parametrize("command", [("exits", "-A"), ("why", "coder-7f9"), ("exits", "-n", "ugly")])
def test_yaml_means_the_same(cluster, command):
    as_json = json.loads(cluster.lastword(*command, "-o", "json").stdout)
    assert yaml.safe_load(cluster.lastword(*command, "-o", "yaml").stdout) == as_json
    assert as_json["items"]


def test_why_requests_one_pod_and_its_like(cluster):
    cluster.lastword("why", "coder-7f9")
    assert [call[-1] for call in cluster.calls() if call[0] == "get"] == [
        "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits?limit=250&labelSelector="
        "lastword.dev%2Fpod%3Dcoder-7f9",
        "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits?limit=250&labelSelector="
        "lastword.dev%2Ffingerprint%3D5f0c2a91d3e8b764"]


def test_a_long_pod_name_is_found_by_its_cut_label(cluster):
    pod = load_records()[4]["spec"]["pod"]
    assert len(pod) > 63
    assert f"Pod:          {pod}\n".encode() in cluster.lastword("why", pod).stdout
    cluster.lastword("why", "pod/" + pod[:70], status=1)  # the same label, another pod
    assert f"Pod:          {pod}\n".encode() in cluster.lastword("why", pod[:70]).stdout


@pytest.mark.parametrize("name", ["coder-7f9", "coder", "T-17", "code"])
def test_why_reads_standard_input_once(cluster, name):
    records = json.dumps({"items": load_records()}).encode()
    assert b"Pod:          coder-7f9\n" in cluster.lastword("why", name, "-n", "agents", "-f", "-",
                                                            stdin=records).stdout


def test_flags_for_kubectl_are_passed_on(cluster):
    cluster.lastword("exits", "--kubeconfig", "/a b", "--context", "$x;")
    for call in cluster.calls():
        assert call[:4] == ["--kubeconfig", "/a b", "--context", "$x;"]


def test_without_a_context_the_namespace_is_default(cluster):
    cluster.behave()
    done = cluster.lastword("exits")
    assert done.stderr == b"No resources found in default namespace.\n"


@pytest.mark.parametrize("behaviour, message", [
    ({"fail": 'Error from server (Forbidden): agentexits.lastword.dev is forbidden: User "u" '
              'cannot list'},
     'failed with exit status 1: Error from server (Forbidden): agentexits.lastword.dev is '
     'forbidden: User "u" cannot list'),
    ({"fail": "Error from server (NotFound): the server could not find the requested resource"},
     "the server could not find the requested resource (is the CRD agentexits.lastword.dev "
     "installed?)"),
    ({"fail": "two\nlines \x1b[31mred\x1b[0m", "status": 7},
     "failed with exit status 7: two lines red"),
    ({"fail": ""}, "failed with exit status 1: it printed no reason"),
    ({"kill": 9}, "was killed by signal 9"),
    ({"body": ""}, "the response to /apis/"),
    ({"body": "not json"}, "the response to /apis/"),
    ({"body": "{}"}, "items is nothing, expected an array"),
    ({"body": '{"items": {}}'}, "items is object, expected an array"),
])
def test_what_kubectl_does_wrong_is_reported(cluster, behaviour, message):
    cluster.behave(**behaviour)
    for command in (("exits",), ("why", "x")):
        done = cluster.lastword(*command, "-n", "agents", status=1)
        error = done.stderr.decode()
        assert done.stdout == b""
        assert error.startswith(f"lastword {command[0]}: ") and error.count("\n") == 1
        assert message in error and harmful(error) == []


def test_warnings_of_kubectl_are_passed_on(cluster):
    cluster.behave(namespace="agents", warning="Warning: old API")
    assert cluster.lastword("exits").stderr == b"Warning: old API\n"


def test_no_kubectl(cluster, tmp_path):
    done = cluster.lastword("exits", environment={"KUBECTL": "/nonexistent/kubectl"}, status=1)
    assert done.stderr.decode() == ("lastword exits: /nonexistent/kubectl: no such program; expected "
                                    "kubectl in PATH, or the variable KUBECTL to name it\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = cluster.lastword("exits", environment={"KUBECTL": "", "PATH": str(empty)}, status=1)
    assert b"kubectl: no such program" in done.stderr
    # and from PATH when nothing names one
    (empty / "kubectl").symlink_to(ROOT / "tests/cli/fake_kubectl.py")
    done = cluster.lastword("exits", environment={
        "KUBECTL": "", "PATH": f"{empty}:{os.environ['PATH']}"})
    assert b"coder-7f9" in done.stdout


def test_items_that_are_no_records_are_counted(cluster):
    items = load_records()[:1] + [{"kind": "Pod", "metadata": {"name": "a"}}, 7, None]
    done = cluster.lastword("exits", "-f", "-", stdin=json.dumps({"items": items}).encode())
    assert done.stderr == b"lastword exits: 3 items are no AgentExit\n"
    assert len(done.stdout.splitlines()) == 2
    for text in (b"kind: Pod", b"kind: Config\nrules: []"):  # nothing of it is what it should be
        for command in (("exits", "-f", "-"), ("exits", "-f", "-", "-o", "json"),
                        ("why", "a", "-f", "-")):
            assert cluster.lastword(*command, stdin=text, status=1).stderr


@pytest.mark.parametrize("text, message", [
    (b"{", "-: line 2, column 1: "),
    (b'{"items": [}', "-: line 1, column 12: "),
    (b"a: [", "-: line "),
])
def test_a_bad_file_is_an_error_with_its_place(cluster, text, message):
    done = cluster.lastword("exits", "-f", "-", stdin=text, status=1)
    assert done.stderr.decode().startswith(f"lastword exits: {message}")


def test_a_full_disk_is_an_error(cluster):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BUILD / "bin/lastword", "exits"], stdout=full,
                              stderr=subprocess.PIPE, env=cluster.environment, timeout=60)
    assert done.returncode == 1 and b"writing standard output: No space left" in done.stderr


def test_a_terminal_gives_the_width(cluster):
    import fcntl
    import struct
    import termios
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    subprocess.run([BUILD / "bin/lastword", "exits", "-A"], stdout=follower, check=True,
                   env=cluster.environment, timeout=60)
    os.close(follower)
    output = read_terminal(leader)
    lines = output.decode().splitlines()
    assert len(lines) == len(load_records()) + 1
    assert max(map(columns, lines)) <= 70 and "…" in output.decode()


def test_it_is_a_plugin_of_kubectl(cluster):
    plugin = cluster.lastword("exits", program="bin/kubectl-lastword")
    assert plugin.stdout == cluster.lastword("exits").stdout
    assert os.path.realpath(BUILD / "bin/kubectl-lastword") == str((BUILD / "bin/lastword").resolve())


def test_groups_for_programs(cluster):
    groups = json.loads(cluster.lastword("groups", "-A", "-o", "json").stdout)["groups"]
    assert sum(group["count"] for group in groups) == len(load_records())
    coder, = (group for group in groups if group["agents"] == ["coder"])
    assert (coder["fingerprint"], coder["state"], coder["count"]) == ("5f0c2a91d3e8b764", "back", 4)
    assert coder["firstSeen"] < coder["lastSeen"] and coder["cause"] == "Panic"


def test_records_without_a_fingerprint_are_grouped_by_cause_and_agent(cluster):
    records = load_records()[:1] * 4
    records = [json.loads(json.dumps(record)) for record in records]
    for record, agent, cause in zip(records, "aabb", ("Error", "Error", "Error", "OOMKilled")):
        record["spec"].update(agent=agent, errorType=cause)
        record["spec"].pop("fingerprint", None)
    cluster.hold(records)
    groups = json.loads(cluster.lastword("groups", "-A", "-o", "json").stdout)["groups"]
    assert sorted((g["agents"], g["cause"], g["count"]) for g in groups) == [
        (["a"], "Error", 2), (["b"], "Error", 1), (["b"], "OOMKilled", 1)]


def test_install_makes_program_and_plugin(tmp_path):
    subprocess.run(["make", "-C", ROOT, "--no-print-directory", "install-cli", f"BUILD={BUILD}",
                    f"DESTDIR={tmp_path}", "PREFIX=/usr"], check=True, capture_output=True)
    for name in ("lastword", "kubectl-lastword"):
        done = subprocess.run([tmp_path / "usr/bin" / name, "--version"], capture_output=True,
                              check=True)
        assert done.stdout.startswith(b"lastword ")
    assert pathlib.Path(tmp_path / "usr/bin/kubectl-lastword").is_symlink()
    for path in ("man/man1/lastword-exits.1", "bash-completion/completions/lastword",
                 "zsh/site-functions/_lastword", "fish/vendor_completions.d/lastword.fish"):
        assert (tmp_path / "usr/share" / path).is_file()
    assert os.readlink(tmp_path / "usr/bin/kubectl_complete-lastword") == "lastword"
