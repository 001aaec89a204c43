#!/usr/bin/python3
"""Shows the main job on this machine, without a cluster. It starts the webhook on loopback with a
temporary certificate, sends it an AdmissionReview of an Argo pod over TLS as an API server recorded it,
and shows the patched pod. Then it runs the injected commands as the kubelet would, side by side and as
different users, and the agent fails in three ways."""
import base64
import copy
import difflib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import jsonpatch
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/shared"))
from webhook_process import Webhook  # noqa: E402

REVIEW = ROOT / "tests/data/reviews/001-create-pods-argo-determine-resume-point.json"
CONFIG = ROOT / "manifests/base/config.yaml"
PROGRAM = ROOT / "build/bin/lastword-watchdog"
AGENT_USER = 1000

# A title, the script that runs instead of the agent's own program, flags that annotations of the pod
# would add, and whether the whole container is killed from outside.
FAILURES = [
    ("A silent exit: a panic in `main`, while `wait` would run on and the pod stay Running",
     """echo 'resuming task 1 at stage 3'
        echo "thread 'main' panicked at src/stage.rs:214:18:" >&2
        echo 'called `Option::unwrap()` on a `None` value' >&2
        exit 101""", [], False),
    ("A kill without warning, shim and all, as the OOM killer does it to a container",
     "echo 'loading 12 shards of model weights'; exec sleep 60", [], True),
    ("A hang: nothing printed any more (lastword.dev/silence-after: 1s, on-silence: kill)",
     "echo 'waiting for the model endpoint'; exec sleep 60",
     ["--silence-after", "1s", "--on-silence", "kill"], False),
]


def heading(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def readable(pod):
    """The pod as YAML, without fields that do not matter here."""
    pod = copy.deepcopy(pod)
    pod["metadata"].pop("managedFields", None)
    for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
        if not container["name"].startswith("lastword"):
            container.pop("env", None)
    for key in ("tolerations", "dnsPolicy", "schedulerName", "priority", "preemptionPolicy",
                "enableServiceLinks", "serviceAccount", "serviceAccountName", "securityContext"):
        pod["spec"].pop(key, None)
    return yaml.safe_dump(pod, sort_keys=False, width=100).splitlines()


def as_user(user):
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def fail(folder, number, pod, script, flags, killed):
    """Runs the injected commands of the pod's two containers; returns the watchdog's report."""
    shim = str(folder / "shim")
    socket = ["--socket", f"lastword-demo-{os.getpid()}-{number}"]
    containers = {c["name"]: c for c in pod["spec"]["containers"]}
    watchdog, main = containers["lastword-watchdog"], containers["main"]
    watch_words = [shim, *watchdog["command"][1:], *socket]
    injected = main["command"][:main["command"].index("--")]
    run_words = [shim, *injected[1:], *flags, *socket, "--", "sh", "-c", script]
    print("$", " ".join([*injected, *flags, "--", "..."]))
    watching = subprocess.Popen([*as_user(watchdog["securityContext"]["runAsUser"]), *watch_words],
                                stdout=subprocess.PIPE, text=True,
                                env={"LASTWORD_POD_NAME": pod["metadata"]["name"],
                                     "LASTWORD_POD_NAMESPACE": pod["metadata"]["namespace"]})
    agent = subprocess.Popen([*as_user(AGENT_USER), *run_words], stdout=subprocess.PIPE, text=True)
    print("  " + agent.stdout.readline(), end="", flush=True)
    if killed:
        time.sleep(0.5)
        agent.send_signal(signal.SIGKILL)
    code = agent.wait(60)
    print(f"  exit code {code if code >= 0 else 128 - code}; the watchdog's report:")
    lines = watching.communicate(timeout=60)[0].splitlines()
    return json.loads(lines[-1])


def main():
    sys.stdout.reconfigure(line_buffering=True)
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

    heading(f"POST /mutate returned {status}: allowed {response['allowed']}, "
            f"{len(patch)} patch operations. The pod, before (-) and after (+):")
    for line in difflib.unified_diff(readable(before), readable(after), "before", "after",
                                     lineterm="", n=2):
        print(line)
    heading("The decision record (annotation, audit log, log):")
    print(json.dumps(json.loads(response["auditAnnotations"]["decision"]), indent=2))
    heading("The patched pod sent again: " +
            ("nothing to do." if "patch" not in second else "PATCHED AGAIN"))

    with tempfile.TemporaryDirectory(prefix="lastword-demo-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        shutil.copy(PROGRAM, folder / "shim")
        reports = []
        for number, (title, *how) in enumerate(FAILURES):
            heading(title)
            reports.append(fail(folder, number, after, *how))
            print(json.dumps(reports[-1], indent=2, ensure_ascii=False))
    causes = [report["error_type"] for report in reports]
    return 0 if "patch" not in second and causes == ["Panic", "Killed", "Stalled"] else 1


if __name__ == "__main__":
    sys.exit(main())
