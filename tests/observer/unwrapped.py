"""The recorded pods as they are, without a watchdog, and what their agents print: a line when a run
is first seen, and its last words a moment before the API shows its end. Of a pod that is deleted the
log is gone when its final object comes (tests/observer/replay_driver.c): the last words are had by
following the log alone."""
import json

from injected import ROOT, STREAM


def last_words(pod, run):
    return f"fatal: these are the last words of {pod}, run {run}"


def main_of(event):
    return next((s for s in event["object"].get("status", {}).get("containerStatuses", [])
                 if s["name"] == "main"), None)


def lines(events):
    found, began, ended = [], set(), set()

    def add(at, event, run, text):
        found.append({"at": at, "namespace": event["object"]["metadata"]["namespace"],
                      "pod": event["object"]["metadata"]["name"], "container": "main", "run": run,
                      "line": text})

    for i, event in enumerate(events):
        main = main_of(event)
        if main is None:
            continue
        name, count = event["object"]["metadata"]["name"], main["restartCount"]
        ends = {count: main["state"].get("terminated")}
        if count > 0 and main.get("lastState", {}).get("terminated"):
            # While it waits the count is still that of the run in lastState.
            last = count if "waiting" in main["state"] else count - 1
            ends.setdefault(last, None)
            ends[last] = ends[last] or main["lastState"]["terminated"]
        if "running" in main["state"] and (name, count) not in began:
            began.add((name, count))
            add(i - 1, event, count, f"{name} starts")
        for run, terminated in ends.items():
            if terminated and terminated["reason"] != "StartError" and (name, run) not in ended:
                ended.add((name, run))
                add(i - 1, event, run, last_words(name, run))
    return found, ended


def write(folder):
    """(stream, lines): files for replay_driver; and the runs that printed last words."""
    events = [json.loads(line) for line in STREAM.read_text().splitlines()]
    rows, ended = lines(events)
    path = folder / "unwrapped-lines"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return (STREAM, path), ended


def write_config(folder):
    """The shipped configuration with one rule, which matches all."""
    text = (ROOT / "manifests/base/config.yaml").read_text()
    path = folder / "audit.yaml"
    path.write_text(text[:text.index("\nrules:\n")] + "\nrules:\n  - name: all\n    names: [main]\n")
    return path
