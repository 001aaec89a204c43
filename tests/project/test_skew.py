"""Parts of different versions work together: what 0.1 promised is still there (tests/data/skew), and
docs/upgrade.md says what the code and the manifests do."""
import json
import re
import subprocess

import pytest
import yaml
from webhook_process import BUILD, ROOT

PROMISED = yaml.safe_load((ROOT / "tests/data/skew/0.1.yaml").read_text())
UPGRADE = (ROOT / "docs/upgrade.md").read_text()
UNRELEASED = "as long as 0.1 is not released: add it to tests/data/skew/0.1.yaml"
# A rule that asks for everything that becomes a flag.
CONFIG = yaml.safe_load((ROOT / "manifests/base/config.yaml").read_text())
CONFIG.update(redact=["mycorp_[a-z]+"], rules=[{
    "name": "all", "match": {}, "deadline": "1h", "onDeadline": "kill", "silenceAfter": "1m",
    "onSilence": "kill", "doneFile": "/work/done", "flushSignal": "SIGUSR1"}])
POD = {"apiVersion": "v1", "kind": "Pod",
       "metadata": {"name": "a", "namespace": "agents", "labels": {"task-id": "t1"},
                    "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j",
                                         "uid": "1", "controller": True}]},
       "spec": {"containers": [{"name": "main", "image": "x", "command": ["agent"]}]}}


def commands(value):
    """Command lines of our program anywhere in a pod."""
    if isinstance(value, dict):
        words = (value.get("command") or []) + (value.get("args") or [])
        if words and words[0] in ("/shim", "/lastword/shim"):
            yield words
        for item in value.values():
            yield from commands(item)
    elif isinstance(value, list):
        for item in value:
            yield from commands(item)


@pytest.fixture(scope="module")
def injected(tmp_path_factory):
    path = tmp_path_factory.mktemp("skew") / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    pods = []
    for version in ("1.28", "1.36"):
        done = subprocess.run([BUILD / "bin/lastword", "inject", "-c", path, "-f", "-", "-o", "json",
                               "--kube-version", version], input=json.dumps(POD), text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        pods.append(json.loads(done.stdout))
    return pods


def test_an_older_watchdog_knows_what_it_is_passed(injected):
    """A later webhook with an image of 0.1, which a configuration may name."""
    used = {}
    for words in commands(injected):
        own = words[:words.index("--")] if "--" in words else words
        used.setdefault(own[1], set()).update(
            word.split("=")[0] for word in own if word.startswith("--") and word != "--")
    assert {"run", "watch", "flush"} <= {*used}
    for subcommand, flags in used.items():
        assert flags <= {*PROMISED["watchdogFlags"].get(subcommand, [])}, UNRELEASED
    assert {"--deadline", "--on-silence", "--done-file"} <= used["run"]
    assert {"--context", "--redact"} <= used["watch"]


def test_a_later_watchdog_takes_what_it_is_passed():
    """Pods that an older replica of the webhook injects, while both run."""
    help_text = subprocess.run([BUILD / "bin/lastword-watchdog", "--help"], capture_output=True,
                               text=True).stdout
    for flags in PROMISED["watchdogFlags"].values():
        for flag in flags:
            assert re.search(rf"{flag}\b", help_text), flag


def test_the_protocol():
    """The shim of a running pod may meet a watchdog that started later (test_versions.py runs both)."""
    header = (ROOT / "watchdog/protocol.h").read_text()
    layout, version = (int(re.search(rf"#define PROTOCOL_{name}\s+(\d+)", header).group(1))
                       for name in ("LAYOUT", "VERSION"))
    assert layout == PROMISED["protocol"]["layout"] and version >= PROMISED["protocol"]["version"]


def table(document, heading):
    """The names of the first column's code in a document's table."""
    text = (ROOT / document).read_text()
    part = text[text.index(heading):].split("\n## ")[0]
    return {name for cell in re.findall(r"^\| ([^|]*) \|", part, re.M)
            for name in re.findall(r"`(\w+)`", cell)}


def test_fields_stay():
    assert {*PROMISED["report"]} <= table("docs/watchdog.md", "## Reports")
    assert {*PROMISED["decision"]} <= table("docs/decision-record.md", "| field |")
    schema = yaml.safe_load((ROOT / "manifests/base/crd.yaml").read_text())["spec"]["versions"][0][
        "schema"]["openAPIV3Schema"]["properties"]
    assert {*PROMISED["record"]["spec"]} <= {*schema["spec"]["properties"]}
    assert {*PROMISED["record"]["status"]} <= {*schema["status"]["properties"]}
    # With one more required field, the observer of 0.1 could write nothing any more.
    assert {*schema["spec"]["required"]} <= {*PROMISED["record"]["required"]}


def test_names_on_pods_stay(injected):
    names = PROMISED["pod"]
    for pod in injected:
        assert pod["metadata"]["labels"][names["label"]] == "true"
        assert names["annotation"] in pod["metadata"]["annotations"]
        ours = {one["name"] for kind in ("containers", "initContainers")
                for one in pod["spec"].get(kind, []) if one["name"].startswith("lastword")}
        assert ours <= {*names["containers"]}
        assert names["volume"] in [volume["name"] for volume in pod["spec"]["volumes"]]


def number(text):
    return tuple(int(part) for part in text.split("."))


def test_the_supported_versions():
    """The table's oldest and newest are those that the scenarios run on, and the chart's."""
    versions = [number(one) for one in re.findall(r"^\| (1\.\d+)", UPGRADE, re.M)]
    chart = yaml.safe_load((ROOT / "manifests/chart/Chart.yaml").read_text())
    oldest = re.fullmatch(r">=(1\.\d+)\.0-0", chart["kubeVersion"]).group(1)
    assert min(versions) == number(oldest)
    built = (ROOT / "tests/cluster/build-kubernetes.sh").read_text()
    assert f"KUBE_GIT_VERSION=v{oldest}." in built
    policy = (ROOT / "webhook/policy.c").read_text()
    for name in ("NATIVE_SAFE", "IMAGE_VOLUME"):
        minor = re.search(rf"#define MINOR_{name}\s+(\d+)", policy).group(1)
        assert (1, int(minor)) in versions, name
