"""The recorded pods as they would be with the webhook at work: every object goes through
`lastword inject`, and every run that really began gets the line that its watchdog prints."""
import copy
import datetime
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build"))
STREAM = ROOT / "tests/data/podwatch/v1.36-terminations.ndjson"

CONFIG = """
apiVersion: lastword.dev/v1alpha1
kind: Config
sidecar: {image: watchdog, mode: native, resources: {requests: {cpu: 5m, memory: 16Mi}, limits: {cpu: 50m, memory: 16Mi}}}
context: {agent: label:case}
rules: [{name: all}]
"""


def inject(objects, folder):
    """The pods as `lastword inject` patches them, in their order."""
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    result = subprocess.run(
        [BUILD / "bin/lastword", "inject", "-c", config, "-f", "-", "-o", "json"],
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        capture_output=True, text=True, check=True)
    return json.loads(result.stdout)["items"]


def time_of(text, milliseconds):
    time = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return (time + datetime.timedelta(milliseconds=milliseconds)).isoformat(
        timespec="microseconds") + "Z"


def line_about(pod, container, run, terminated):
    """As watchdog/report.c writes it. An out-of-memory kill takes the shim along: no code."""
    code = terminated["exitCode"]
    vanished = terminated["reason"] == "OOMKilled"
    output = terminated.get("message", "working\n")
    began, ended = terminated["startedAt"], terminated["finishedAt"]
    line = {
        "event": "end", "time": time_of(ended, 130), "version": "0.1.0", "source": "watchdog",
        "pod": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
        "uid": pod["metadata"]["uid"], "node": "node1", "container": container,
        "shim_instance": run + 1,
        "error_type": "Killed" if vanished else "Panic" if code == 101 else
        "Completed" if code == 0 else "Terminated" if code == 137 else "Error",
        "evidence": "vanished" if vanished else "statement" if code == 101 else "exit-code",
    }
    if not vanished:
        line["exit_code"] = code
    if code == 137 and not vanished:
        line["signal"] = "SIGKILL"
    line |= {
        "summary": f"{'killed from outside' if vanished else f'exit {code}'}: {output.strip()}",
        "fingerprint": "0123456789abcdef", "payload_snippet": output.strip(),
        "started_at": time_of(began, 90), "finished_at": time_of(ended, 120),
        "duration_seconds": 0.25, "max_rss_bytes": 1646592, "cpu_seconds": 0.004,
        "oom_kills": 0, "shim_uid": 0, "agent": pod["metadata"]["labels"]["case"],
        "log_bytes_total": len(output), "log_tail": output,
    }
    return json.dumps(line, separators=(",", ":"))


def variant(folder):
    """(events, lines): the stream's events, and what replay_driver wants to know of the lines."""
    events = [json.loads(line) for line in STREAM.read_text().splitlines()]
    pods = [i for i, event in enumerate(events) if "name" in event["object"]["metadata"]]
    patched = inject([events[i]["object"] for i in pods], folder)
    lines, seen = [], set()
    for i, pod in zip(pods, patched):
        events[i] = {"type": events[i]["type"], "object": copy.deepcopy(pod)}
        for status in pod["status"].get("containerStatuses", []):
            terminated = status["state"].get("terminated")
            key = (pod["metadata"]["uid"], status["restartCount"])
            if status["name"] != "main" or not terminated or key in seen:
                continue
            seen.add(key)
            if terminated["reason"] != "StartError":
                # A report is there a moment before the API shows the termination.
                lines.append({"at": i - 1, "namespace": pod["metadata"]["namespace"],
                              "pod": pod["metadata"]["name"],
                              "line": line_about(pod, "main", status["restartCount"],
                                                 terminated)})
    return events, lines


def write(folder):
    events, lines = variant(folder)
    for name, rows in (("stream", events), ("lines", lines)):
        (folder / name).write_text("".join(
            json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return folder / "stream", folder / "lines"
