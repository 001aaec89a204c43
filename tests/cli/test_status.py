"""lastword status, against a kubectl that answers like an API server where lastword is installed."""
import base64
import copy
import json
import subprocess
import time

import pytest

from record_cluster import BUILD
from test_records import harmful

VERSION = subprocess.run([BUILD / "bin/lastword", "--version"], capture_output=True, text=True,
                         check=True).stdout.split()[1]
SYSTEM = "/api/v1/namespaces/lastword-system"
APPS = "/apis/apps/v1/namespaces/lastword-system/deployments"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agentexits.lastword.dev"
REGISTRATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lastword"
SECRET = f"{SYSTEM}/secrets/lastword-webhook-tls"
NAMESPACES = "/api/v1/namespaces?labelSelector=lastword.dev%2Finject%3Denabled"


def deployment():
    return {"spec": {"replicas": 2, "template": {"spec": {"containers": [
        {"image": f"registry.example.com:5000/lastword:{VERSION}",
         "args": [f"--watchdog-image=watchdog:{VERSION}"]}]}}},
        "status": {"availableReplicas": 2}}


def certificates(*names):
    """PEM in base64, as the API has it; what is in a certificate does not matter here."""
    return base64.b64encode("".join(
        "-----BEGIN CERTIFICATE-----\n" + base64.b64encode(name.encode() * 40).decode() +
        "\n-----END CERTIFICATE-----\n" for name in names).encode()).decode()


def installation():
    """Path by path, what the API server answers where all is well."""
    pods = [{"metadata": {"name": f"{name}-{i}", "labels": {"app.kubernetes.io/name": name}}}
            for name in ("lastword-webhook", "lastword-observer") for i in "ab"]
    paths = {
        CRD: {"status": {"conditions": [{"type": "Established", "status": "True"}]}},
        f"{APPS}/lastword-webhook": deployment(),
        f"{APPS}/lastword-observer": deployment(),
        REGISTRATION: {"webhooks": [{"failurePolicy": "Ignore", "clientConfig": {"caBundle": certificates("old", "new")}}]},
        SECRET: {"data": {"ca.crt": certificates("new")}},
        NAMESPACES: {"items": [{"metadata": {"name": "agents"}}]},
        f"{SYSTEM}/pods": {"items": pods + [{"metadata": {"name": "other"}}]},
    }
    for i in "ab":
        paths[metrics_path(f"lastword-webhook-{i}")] = (
            "# HELP x\n"
            f"lastword_certificate_expiry_timestamp_seconds {time.time() + 80.5 * 86400:.0f}\n")
        paths[metrics_path(f"lastword-observer-{i}")] = (
            f"lastword_observer_leader {int(i == 'a')}\n"
            "lastword_observer_seconds_without_progress 12\n"
            "lastword_observer_pending_records 0\n"
            'lastword_receiver_queue_bytes{receiver="chat"} 0\n'
            'lastword_receiver_queue_bytes{receiver="loki"} 0\n'
            'lastword_receiver_last_success_timestamp_seconds{receiver="chat"} '
            f"{time.time() - 36060:.0f}\n")
    return paths


def metrics_path(pod):
    return f"{SYSTEM}/pods/{pod}:9090/proxy/metrics"


@pytest.fixture
def installed(cluster):
    cluster.paths = installation()
    cluster.behave(namespace="agents", trial="true")
    return cluster


def status(cluster, code, *arguments):
    (cluster.folder / "paths.json").write_text(json.dumps(cluster.paths))
    text = cluster.lastword("status", *arguments, status=code).stdout.decode()
    assert harmful(text) == []
    return text


def test_all_is_well(installed):
    text = status(installed, 0)
    assert text.endswith("\nAll is well.\n")
    lines = text.splitlines()[:-2]
    assert all(line.startswith("ok ") for line in lines), text
    assert "lastword-webhook: 2 of 2 replicas available" in text
    assert "certificate of lastword-webhook-b: valid for 80d" in text
    assert "observer: lastword-observer-a leads, its watch made progress 12 s ago" in text
    assert "a pod as a dry run in agents: injected" in text
    assert "caBundle: it has the CA of Secret lastword-webhook-tls" in text
    assert "receiver chat: last success 10h ago, 0 bytes wait, 0 notifications" in text
    assert "receiver loki: no success yet, 0 bytes wait, 0 notifications" in text
    assert f"versions: webhook {VERSION}, observer {VERSION}, watchdog {VERSION}, this" in text


def test_a_pod_of_the_previous_rollout(installed):
    """It is about to end, and answers no more."""
    installed.paths[f"{SYSTEM}/pods"]["items"].append({"metadata": {
        "name": "lastword-webhook-c", "labels": {"app.kubernetes.io/name": "lastword-webhook"},
        "deletionTimestamp": "2026-11-28T18:37:19Z"}})
    assert "lastword-webhook-c" not in status(installed, 0)


def test_nothing_is_stored(installed):
    status(installed, 0)
    for call in installed.calls():
        assert call[0] in ("get", "config") or "--dry-run=server" in call, call


def drop(path):
    return lambda cluster: cluster.paths.pop(path)


def change(path, *keys):
    """Sets the member that the last but one of the keys name to the last one."""
    def apply(cluster):
        node = cluster.paths[path] = copy.deepcopy(cluster.paths[path])
        for key in keys[:-2]:
            node = node[key]
        node[keys[-2]] = keys[-1]
    return apply


def metric(pod, text):
    def apply(cluster):
        name = text.split("{")[0].split()[0]
        lines = [line for line in cluster.paths[metrics_path(pod)].splitlines()
                 if not line.startswith(name)]
        cluster.paths[metrics_path(pod)] = "\n".join([*lines, text]) + "\n"
    return apply


TROUBLE = {
    "no CRD": (drop(CRD), 1, "CRD agentexits.lastword.dev: "),
    "a CRD that is refused": (change(CRD, "status", "conditions", []), 1, "not established"),
    "no webhook": (drop(f"{APPS}/lastword-webhook"), 1, "lastword-webhook: "),
    "half an observer": (change(f"{APPS}/lastword-observer", "status", "availableReplicas", 1), 0,
                         "lastword-observer: 1 of 2 replicas available"),
    "no replica": (change(f"{APPS}/lastword-observer", "status", {}), 1, "0 of 2 replicas"),
    "another version": (
        change(f"{APPS}/lastword-webhook", "spec", "template", "spec", "containers",
               [{"image": "lastword:9.9.9"}]), 0,
        f"versions: webhook 9.9.9, observer {VERSION}, watchdog unknown, this program {VERSION}"),
    "another watchdog": (
        change(f"{APPS}/lastword-webhook", "spec", "template", "spec", "containers", 0, "args",
               ["--watchdog-image=w:0.0.9@sha256:1"]), 0, "watchdog 0.0.9, this program"),
    "no registration": (drop(REGISTRATION), 1, "MutatingWebhookConfiguration lastword: "),
    "no CA": (change(REGISTRATION, "webhooks", 0, "clientConfig", {}), 1, "the caBundle is empty"),
    "the CA of another installation": (
        change(SECRET, "data", "ca.crt", certificates("other")), 1,
        "caBundle: it has not the CA of Secret lastword-webhook-tls"),
    "one of two webhooks without the CA": (
        change(REGISTRATION, "webhooks", [
            {"failurePolicy": "Ignore", "clientConfig": {"caBundle": certificates("new")}},
            {"failurePolicy": "Ignore", "clientConfig": {"caBundle": certificates("old")}}]), 1,
        "caBundle: it has not the CA of Secret lastword-webhook-tls"),
    "a CA that is being changed": (
        change(SECRET, "data", "ca.crt", certificates("next", "new")), 0,
        "caBundle: it has 1 of the 2 CA certificates"),
    "a caBundle that is none": (
        change(REGISTRATION, "webhooks", 0, "clientConfig", "caBundle", "%%%"), 1,
        "they have no certificates in PEM"),
    "a webhook in the way": (change(REGISTRATION, "webhooks", 0, "failurePolicy", "Fail"), 0,
                             "failurePolicy is Fail"),
    "nobody opted in": (change(NAMESPACES, "items", []), 0, "opted-in namespaces: none"),
    "an expired certificate": (
        metric("lastword-webhook-a", "lastword_certificate_expiry_timestamp_seconds 1000000000"), 1,
        "certificate of lastword-webhook-a: expired"),
    "a stale watch": (
        metric("lastword-observer-a", "lastword_observer_seconds_without_progress 900"), 1,
        "its watch made progress 900 s ago"),
    "nobody leads": (metric("lastword-observer-a", "lastword_observer_leader 0"), 1,
                     "observer: no replica leads"),
    "un-injected pods": (
        metric("lastword-observer-a", 'lastword_uninjected_pods{namespace="a",reason="b"} 3'), 0,
        "un-injected agent pods: 3"),
    "silent pods": (metric("lastword-observer-a", 'lastword_silent_pods{namespace="a",agent="b"} 2'),
                    0, "silent pods now: 2"),
    "a dead receiver": (
        metric("lastword-observer-a", 'lastword_receiver_dropped_total{receiver="chat"} 7'), 0,
        "receiver chat: last success 10h ago, 0 bytes wait, 7 notifications were dropped"),
    "a receiver that does not answer": (
        metric("lastword-observer-a", 'lastword_receiver_queue_bytes{receiver="chat"} 900'), 0,
        "receiver chat: last success 10h ago, 900 bytes wait, 0 notifications"),
    "a receiver that never answered": (
        metric("lastword-observer-a", 'lastword_receiver_queue_bytes{receiver="mail"} 900'), 0,
        "receiver mail: no success yet, 900 bytes wait"),
    "no right to the metrics": (drop(metrics_path("lastword-webhook-b")), 0, "lastword-webhook-b: "),
    "not injected": (lambda cluster: cluster.behave(namespace="agents"), 1,
                     "a pod as a dry run in agents: not injected"),
    "a policy": (lambda cluster: cluster.behave(namespace="agents", refuse="no such image"), 0,
                 "a pod as a dry run in agents: "),
    "no API server": (lambda cluster: cluster.behave(fail="Unable to connect to the server"), 1,
                      "API server: "),
    "an old API server": (
        lambda cluster: cluster.paths.update({"/version": {"gitVersion": "v1.19.4"}}), 1,
        "v1.19.4 is too old"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble(installed, name):
    make, code, says = TROUBLE[name]
    make(installed)
    text = status(installed, code)
    line, = (line for line in text.splitlines() if says in line)
    assert line.startswith("failed " if code == 1 else "warning ")
    assert text.endswith("Something is wrong.\n" if code == 1 else "It works, with warnings.\n")


def test_what_may_not_be_read_is_skipped(installed):
    """A person who reads no Secrets has a good installation all the same."""
    installed.paths.pop(SECRET)
    text = status(installed, 0)
    assert "skipped  caBundle and Secret lastword-webhook-tls: " in text
    assert text.endswith("All is well.\n")


def test_the_secret_is_the_one_that_the_webhook_uses(installed):
    args = installed.paths[f"{APPS}/lastword-webhook"]["spec"]["template"]["spec"]["containers"][0]
    args["args"].append("--secret=own")
    installed.paths[SECRET.replace("lastword-webhook-tls", "own")] = installed.paths.pop(SECRET)
    assert "caBundle: it has the CA of Secret own" in status(installed, 0)


def test_no_receiver_is_fine(installed):
    for i in "ab":
        path = metrics_path(f"lastword-observer-{i}")
        installed.paths[path] = "".join(line for line in installed.paths[path].splitlines(True)
                                        if "receiver" not in line)
    assert "ok       receivers: none is configured, only Events" in status(installed, 0)


def test_an_open_breaker(installed):
    state = {"version": 1, "namespaces": {"agents": {
        "state": "open", "since": "2026-11-28T18:37:19Z", "reason": "image", "message": "m"}}}
    (installed.folder / "breaker.json").write_text(json.dumps(
        {"metadata": {"resourceVersion": "1"}, "data": {"state.json": json.dumps(state)}}))
    assert "warning  breaker of agents: open (image)" in status(installed, 0)


def test_another_namespace(installed):
    installed.paths = {path.replace("/lastword-system", "/watch-tower"): value
                       for path, value in installed.paths.items()}
    installed.behave(namespace="agents", trial="true", system="watch-tower")
    assert "All is well." in status(installed, 0, "-n", "watch-tower")
    assert "Something is wrong." in status(installed, 1)
