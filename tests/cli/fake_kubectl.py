#!/usr/bin/python3
"""A kubectl for tests: answers `config view` and `get --raw` out of a JSON file, page by page, as
an API server does. $FAKE_STATE is a folder: records.json (the objects), behaviour.json (what goes
wrong), calls (a line of JSON for each call)."""
import json
import os
import pathlib
import re
import sys
import urllib.parse

STATE = pathlib.Path(os.environ["FAKE_STATE"])
BEHAVIOUR = json.loads((STATE / "behaviour.json").read_text())
PREFIX = "/apis/lastword.dev/v1alpha1"


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
    match = re.fullmatch(PREFIX + r"(?:/namespaces/([a-z0-9-]+))?/agentexits", url.path)
    if not match:
        fail("Error from server (NotFound): the server could not find the requested resource")
    items = [item for item in json.loads((STATE / "records.json").read_text())
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
    return {"apiVersion": "lastword.dev/v1alpha1", "kind": "AgentExitList",
            "metadata": metadata, "items": items[start:end]}


def main():
    arguments = sys.argv[1:]
    with open(STATE / "calls", "a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    while arguments[0] in ("--kubeconfig", "--context"):
        arguments = arguments[2:]
    if arguments[:2] == ["config", "view"]:
        if "namespace" not in BEHAVIOUR:
            fail("error: current-context must exist in order to minify")
        sys.stdout.write(BEHAVIOUR["namespace"])
        return
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
    json.dump(get_raw(arguments[2]), sys.stdout)


main()
