#!/usr/bin/python3
"""A kubectl for tests: answers `config view` and `get --raw` out of a JSON file, page by page, as
an API server does. $FAKE_STATE is a folder: records.json (the objects), behaviour.json (what goes
wrong), watches.json (what each watch prints, one after the other; the last one stays open), calls (a
line of JSON for each call)."""
import json
import os
import pathlib
import re
import select
import sys
import urllib.parse

STATE = pathlib.Path(os.environ["FAKE_STATE"])
BEHAVIOUR = json.loads((STATE / "behaviour.json").read_text())
# The path of a list, the file with its objects, and what it is.
LISTS = [
    ("/apis/lastword.dev/v1alpha1(?:/namespaces/([a-z0-9-]+))?/agentexits", "records.json",
     {"apiVersion": "lastword.dev/v1alpha1", "kind": "AgentExitList"}),
    ("/api/v1(?:/namespaces/([a-z0-9-]+))?/pods", "pods.json",
     {"apiVersion": "v1", "kind": "PodList"}),
]


def fail(message, status=1):
    sys.stderr.write(message + "\n")
    sys.exit(status)


def selected(item, selector):
    labels = item["metadata"].get("labels", {})
    for term in selector.split(",") if selector else []:
        key, _, value = term.partition("=")
        if labels.get(key) != value:
            return False
    return True


def get_raw(path):
    url = urllib.parse.urlsplit(path)
    query = dict(urllib.parse.parse_qsl(url.query))
    if (STATE / "paths.json").exists():
        paths = json.loads((STATE / "paths.json").read_text())
        if path in paths:
            return paths[path]
    if url.path == "/version" and "no_version" not in BEHAVIOUR:
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.2"}
    for pattern, name, kind in LISTS:
        match = re.fullmatch(pattern, url.path)
        if match:
            break
    if not match or not (STATE / name).exists():
        fail("Error from server (NotFound): the server could not find the requested resource")
    items = [item for item in json.loads((STATE / name).read_text())
             if match.group(1) in (None, item["metadata"]["namespace"])
             and selected(item, query.get("labelSelector"))]
    start = 0
    if "continue" in query:
        token = query["continue"]
        start = int(token.split("/+= &?")[0])  # a token may have any characters
        expired = STATE / "expired"
        if BEHAVIOUR.get("expire", 0) > (len(expired.read_text()) if expired.exists() else 0):
            expired.open("a").write("x")
            fail("Error from server (Expired): The provided continue parameter is too old to "
                 "display a consistent list result.")
    end = start + min(int(query["limit"]), BEHAVIOUR.get("page", 1000))
    metadata = {"resourceVersion": "77"}
    if end < len(items):
        metadata["continue"] = f"{end}/+= &?"
    return {**kind, "metadata": metadata, "items": items[start:end]}


def watch():
    """Events as lines of JSON; {"fail": MESSAGE}, {"records": […]} (the list from then on)."""
    watches = json.loads((STATE / "watches.json").read_text())
    (STATE / "watches.json").write_text(json.dumps(watches[1:]))
    for event in watches[0] if watches else []:
        if "fail" in event:
            fail(event["fail"])
        elif "records" in event:
            (STATE / "records.json").write_text(json.dumps(event["records"]))
        elif "raw" in event:
            print(event["raw"], end="", flush=True)
        else:
            print(json.dumps(event), flush=True)
    if len(watches) <= 1:
        waiting = select.poll()
        waiting.register(sys.stdout, 0)
        waiting.poll()  # until nobody reads any more


def breaker():
    path = STATE / "breaker.json"
    if not path.exists():
        fail('Error from server (NotFound): configmaps "lastword-breaker" not found')
    return json.loads(path.read_text())


def patch_breaker(arguments):
    assert arguments[:5] == ["patch", "configmap", "lastword-breaker", "--namespace",
                             BEHAVIOUR.get("system", "lastword-system")], arguments
    assert arguments[5:8] == ["--type=merge", "--output=name", "--patch"] and len(arguments) == 9
    patch, stored = json.loads(arguments[8]), breaker()
    if (STATE / "conflicts").exists() and (STATE / "conflicts").read_text():
        left = (STATE / "conflicts").read_text()
        (STATE / "conflicts").write_text(left[1:])
        stored["metadata"]["resourceVersion"] = str(int(stored["metadata"]["resourceVersion"]) + 1)
    if patch["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
        fail('Error from server (Conflict): Operation cannot be fulfilled on configmaps '
             '"lastword-breaker": the object has been modified')
    assert set(patch) == {"metadata", "data"} and set(patch["data"]) == {"state.json"}
    stored["data"] = patch["data"]
    stored["metadata"]["resourceVersion"] += "1"
    (STATE / "breaker.json").write_text(json.dumps(stored))
    print("configmap/lastword-breaker")


def run(arguments):
    """A pod as a dry run, as admission leaves it."""
    assert "--dry-run=server" in arguments and arguments[-2:] == ["--", "true"], arguments
    if "refuse" in BEHAVIOUR:
        fail("Error from server (Forbidden): " + BEHAVIOUR["refuse"])
    labels = dict(pair.split("=") for pair in arguments[arguments.index("--labels") + 1].split(","))
    if "trial" in BEHAVIOUR:
        labels["lastword.dev/injected"] = BEHAVIOUR["trial"]
    json.dump({"kind": "Pod", "metadata": {"name": arguments[1], "labels": labels}}, sys.stdout)


def main():
    arguments = sys.argv[1:]
    with open(STATE / "calls", "a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    while arguments[0] in ("--kubeconfig", "--context", "--request-timeout"):
        arguments = arguments[2:]
    if arguments[:2] == ["config", "view"]:
        if "namespace" not in BEHAVIOUR:
            fail("error: current-context must exist in order to minify")
        sys.stdout.write(BEHAVIOUR["namespace"])
        return
    if arguments == ["config", "get-contexts", "--output=name"]:
        print("\n".join(BEHAVIOUR.get("contexts", [])))
        return
    if arguments[0] == "patch":
        return patch_breaker(arguments)
    if arguments[0] == "run":
        return run(arguments)
    if arguments[:2] != ["get", "--raw"] or len(arguments) != 3:
        fail(f"error: unexpected {arguments}")
    if "warning" in BEHAVIOUR:
        sys.stderr.write(BEHAVIOUR["warning"] + "\n")
    if "fail" in BEHAVIOUR:
        fail(BEHAVIOUR["fail"], BEHAVIOUR.get("status", 1))
    if "kill" in BEHAVIOUR:
        os.kill(os.getpid(), BEHAVIOUR["kill"])
    if "body" in BEHAVIOUR:
        sys.stdout.buffer.write(BEHAVIOUR["body"].encode(errors="surrogateescape"))
        return
    system = BEHAVIOUR.get("system", "lastword-system")
    if arguments[2] == f"/api/v1/namespaces/{system}/configmaps/lastword-breaker":
        return json.dump(breaker(), sys.stdout)
    if "watch=true" in arguments[2]:
        return watch()
    response = get_raw(arguments[2])
    sys.stdout.write(response if isinstance(response, str) else json.dumps(response))


main()
