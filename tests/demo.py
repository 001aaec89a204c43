#!/usr/bin/python3
"""The main job on this machine, without a cluster: the webhook is started on loopback with a
throw-away certificate, an API server's own AdmissionReview of an Argo pod (its `main` will die
while `wait` lives on) is sent to it over TLS, and what comes back is shown."""
import base64
import copy
import difflib
import json
import pathlib
import sys
import tempfile

import jsonpatch
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/blackbox"))
from webhook_process import Webhook  # noqa: E402

REVIEW = ROOT / "tests/data/reviews/001-create-pods-argo-determine-resume-point.json"
CONFIG = ROOT / "manifests/base/config.yaml"


def heading(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def readable(pod):
    """The pod as YAML, without what the demonstration is not about."""
    pod = copy.deepcopy(pod)
    pod["metadata"].pop("managedFields", None)
    for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
        if not container["name"].startswith("lastword"):
            container.pop("env", None)
    for key in ("tolerations", "dnsPolicy", "schedulerName", "priority", "preemptionPolicy",
                "enableServiceLinks", "serviceAccount", "serviceAccountName", "securityContext"):
        pod["spec"].pop(key, None)
    return yaml.safe_dump(pod, sort_keys=False, width=100).splitlines()


def main():
    review = json.loads(REVIEW.read_text())
    before = review["request"]["object"]
    with tempfile.TemporaryDirectory(prefix="lastword-demo-") as folder:
        webhook = Webhook(pathlib.Path(folder), CONFIG.read_text())
        try:
            heading(f"lastword-webhook listens on 127.0.0.1:{webhook.port} (TLS); "
                    f"configuration {CONFIG.relative_to(ROOT)}")
            status, _, body = webhook.post("/mutate?timeout=3s", REVIEW.read_bytes())
            again = copy.deepcopy(review)
            response = json.loads(body)["response"]
            patch = json.loads(base64.b64decode(response["patch"]))
            after = jsonpatch.JsonPatch(patch).apply(before)
            again["request"]["object"] = after
            second = json.loads(webhook.post("/mutate", json.dumps(again).encode())[2])["response"]
        finally:
            webhook.stop()

    heading(f"POST /mutate answered {status}: allowed {response['allowed']}, "
            f"{len(patch)} patch operations. The pod, before (-) and after (+):")
    for line in difflib.unified_diff(readable(before), readable(after), "before", "after",
                                     lineterm="", n=2):
        print(line)
    heading("The decision record (annotation, audit log, log):")
    print(json.dumps(json.loads(response["auditAnnotations"]["decision"]), indent=2))
    heading("The patched pod sent again: " +
            ("nothing to do." if "patch" not in second else "PATCHED AGAIN"))
    return 0 if "patch" not in second else 1


if __name__ == "__main__":
    sys.exit(main())
