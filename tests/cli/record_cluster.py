"""A cluster of records for lastword exits and why, behind a fake kubectl."""
import datetime
import json
import os
import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests/data/exits"
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build"))
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_terminal(leader):
    """What came through a pseudo-terminal whose other side is closed here, until all have closed it."""
    output = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # EIO: the other side is closed
            break
        if not chunk:
            break
        output += chunk
    os.close(leader)
    return output


def with_times(node, now):
    """The node with "@-1h30m" as points of time."""
    if isinstance(node, dict):
        return {key: with_times(value, now) for key, value in node.items()}
    if isinstance(node, list):
        return [with_times(value, now) for value in node]
    if isinstance(node, str) and node.startswith("@-"):
        ago = sum(int(n) * UNITS[u] for n, u in re.findall(r"(\d+)([smhd])", node))
        return (now - datetime.timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return node


def label(text):
    return re.sub(r"[^A-Za-z0-9.-]", "_", text)[:63].strip("-_.")


def complete(record):
    """metadata as lib/kube/agent_exit writes it."""
    spec = record["spec"]
    spec.setdefault("namespace", "agents")
    labels = {"pod": spec["pod"], "cause": spec["errorType"],
              "fingerprint": spec.get("fingerprint", ""), "agent": spec.get("agent", "")}
    metadata = {"name": "{pod}.{uid8}.{container}.{restartCount}".format(
                    uid8=spec["uid"][:8], **spec),
                "namespace": spec["namespace"],
                "labels": {f"lastword.dev/{k}": label(v) for k, v in labels.items() if label(v)}}
    if "finishedAt" in spec:
        metadata["creationTimestamp"] = spec["finishedAt"]
    return {"apiVersion": "lastword.dev/v1alpha1", "kind": "AgentExit", **record,
            "metadata": {**metadata, **record.get("metadata", {})}}


def load_records(path=DATA / "records.yaml"):
    now = datetime.datetime.utcnow()
    return [complete(record) for record in with_times(yaml.safe_load(path.read_text()), now)]


class Cluster:
    """What the fake kubectl answers from."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "FAKE_STATE": str(folder),
                            "KUBECTL": str(ROOT / "tests/cli/fake_kubectl.py"),
                            **{k: v for k, v in os.environ.items() if k.endswith("_OPTIONS")}}
        self.hold(load_records())
        self.behave(namespace="agents")

    def hold(self, records):
        (self.folder / "records.json").write_text(json.dumps(records))

    def hold_pods(self, pods):
        (self.folder / "pods.json").write_text(json.dumps(
            with_times(pods, datetime.datetime.utcnow())))

    def behave(self, **behaviour):
        (self.folder / "behaviour.json").write_text(json.dumps(behaviour))

    def calls(self):
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def lastword(self, *arguments, status=0, environment=None, stdin=None,
                 program="bin/lastword"):
        done = subprocess.run([BUILD / program, *arguments], input=stdin, capture_output=True,
                              env={**self.environment, **(environment or {})}, timeout=60)
        assert done.returncode == status, (done.returncode, done.stderr)
        return done
