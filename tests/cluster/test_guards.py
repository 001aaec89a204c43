"""The breaker on a real node: a watchdog's image that cannot be pulled, and a LimitRange that refuses
our container. Agents run all the same, and once the reason is mended the next one is wrapped again."""
import contextlib
import json
import os
import subprocess
import time

import pytest

import agents
import kube
import product

NOWHERE = "127.0.0.1:1/nowhere:1"  # refused at once
BREAKER = f"/api/v1/namespaces/{product.SYSTEM}/configmaps/lastword-breaker"


@pytest.fixture
def namespace(installed):
    """An opted-in namespace, gone afterwards, and its breaker with it."""
    name = f"guarded-{os.urandom(3).hex()}"
    installed.make_namespace(name, {"lastword.dev/inject": "enabled"})
    product.wait_injecting(installed, name)
    yield name
    installed.delete(f"/api/v1/namespaces/{name}")
    breaker(installed, "close", name)


def breaker(cluster, *arguments):
    """`lastword breaker`, with the real kubectl."""
    done = subprocess.run([product.BUILD / "bin/lastword", "breaker", *arguments], text=True,
                          env=cluster.environment, capture_output=True, timeout=kube.HANG)
    assert done.returncode == 0, done.stderr
    return done.stdout


def entry(cluster, namespace):
    text = (cluster.get(BREAKER).get("data") or {}).get("state.json", '{"namespaces": {}}')
    return json.loads(text)["namespaces"].get(namespace) or {}


def wait_state(cluster, namespace, state):
    kube.wait_until(lambda: entry(cluster, namespace).get("state") == state,
                    lambda: f"{state}: {cluster.get(BREAKER)} {product.describe(cluster)}")
    return entry(cluster, namespace)


def notified(cluster, namespace, reason):
    """The kinds of the objects that have an Event of that reason."""
    events = cluster.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return {e["involvedObject"]["kind"] for e in events if e["reason"] == reason}


def is_wrapped(pod):
    return any(c["name"] == kube.OUR_CONTAINER for c in
               pod["spec"]["containers"] + pod["spec"].get("initContainers", []))


def wait_wrapping(cluster, namespace, wrapping):
    """Until a dry run of each of the webhook's replicas, it seems, says so: ten in a row."""
    def all_say_so():
        return all(is_wrapped(cluster.create(
            f"/api/v1/namespaces/{namespace}/pods?dryRun=All",
            agents.pod(agents.container("true")))) is wrapping for _ in range(10))
    kube.wait_until(all_say_so, lambda: f"pods are wrapped: {wrapping}")


def create(cluster, namespace, command="echo well; exit 0", **resources):
    more = {"resources": resources} if resources else {}
    return kube.KubernetesPod(cluster, cluster.create(
        f"/api/v1/namespaces/{namespace}/pods", agents.pod(agents.container(command, **more))))


def create_job(cluster, namespace, name, **resources):
    template = agents.pod(agents.container("echo well; exit 0", resources=resources))
    cluster.create(f"/apis/batch/v1/namespaces/{namespace}/jobs",
                   agents.job(name, template, backoffLimit=3))


def job(cluster, namespace, name):
    return cluster.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}")


def pods_of(cluster, namespace, name):
    return cluster.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector=job-name%3D{name}")["items"]


def wait_old_pods_gone(cluster):
    """Those of before a rollout still answer for a while."""
    kube.wait_until(lambda: len(product.pods(cluster, "lastword-webhook")) == product.deployment(
        cluster, "lastword-webhook")["spec"]["replicas"], "the webhook's old pods are gone")


@contextlib.contextmanager
def without_image(cluster):
    """The webhook adds a watchdog whose image no registry has."""
    def set_image(image):
        cluster.kubectl("set", "env", "-n", product.SYSTEM, "deployment/lastword-webhook",
                        f"WATCHDOG_IMAGE={image}")
        product.wait_available(cluster, "lastword-webhook")
        wait_old_pods_gone(cluster)
    set_image(NOWHERE)
    try:
        yield
    finally:
        set_image(product.SHIPPED["watchdog"])


def test_an_image_that_cannot_be_pulled(installed, namespace):
    with without_image(installed):
        create_job(installed, namespace, "first")
        opened = wait_state(installed, namespace, "open")
        assert opened["reason"] == "image" and NOWHERE in opened["message"]
        stuck, = pods_of(installed, namespace, "first")
        assert is_wrapped(stuck) and opened["pod"] == stuck["metadata"]["name"]
        kube.wait_until(lambda: notified(installed, namespace, "BreakerOpened") == {"Pod", "Job"},
                        "the Events of the pod and its owner")
        # The next pod runs.
        wait_wrapping(installed, namespace, False)
        pod = create(installed, namespace)
        assert pod.wait_end() == (0, "Completed") and not is_wrapped(pod.pod)
        assert pod.pod["spec"]["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert namespace in breaker(installed, "list")
    # It is mended, and half-open a second later.
    breaker(installed, "open", namespace, "--for", "1s")
    half_open = wait_state(installed, namespace, "half-open")

    def tried():
        time.sleep(1)  # so that the node has not to run many
        made = create(installed, namespace)
        return made if is_wrapped(made.pod) else None
    trial = kube.wait_until(tried, "a pod that is let through")
    record = json.loads(trial.pod["metadata"]["annotations"]["lastword.dev/status"])
    assert record["trial"] == half_open["since"]
    assert trial.wait_end() == (0, "Completed")
    wait_state(installed, namespace, "closed")
    wait_wrapping(installed, namespace, True)
    # The pod that was stuck still is, and does not open it again.
    stuck, = pods_of(installed, namespace, "first")
    assert stuck["status"]["phase"] == "Pending"
    assert entry(installed, namespace)["state"] == "closed"


def test_a_limit_range_that_refuses_ours(installed, namespace):
    """It allows the agent's container, and not one as small as ours: the Job's pod is refused until
    the breaker is open."""
    installed.create(f"/api/v1/namespaces/{namespace}/limitranges", {
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "large"},
        "spec": {"limits": [{"type": "Container", "min": {"memory": "32Mi"}}]}})
    create_job(installed, namespace, "coder", requests={"memory": "48Mi"}, limits={"memory": "64Mi"})
    opened = wait_state(installed, namespace, "open")
    assert opened["reason"] == "refused" and opened["pod"] == "coder"
    assert "minimum memory usage per Container" in opened["message"]
    kube.wait_until(lambda: job(installed, namespace, "coder")["status"].get("succeeded") == 1,
                    lambda: f"the Job: {job(installed, namespace, 'coder')['status']} "
                            f"{installed.get(f'/api/v1/namespaces/{namespace}/events')}")
    pod, = pods_of(installed, namespace, "coder")
    assert not is_wrapped(pod)
    installed.delete(f"/api/v1/namespaces/{namespace}/limitranges/large")
    breaker(installed, "close", namespace)
    wait_wrapping(installed, namespace, True)


# ---- The remedy ----

OBSERVER = f"/apis/apps/v1/namespaces/{product.SYSTEM}/deployments/lastword-observer"
CONFIG = f"/api/v1/namespaces/{product.SYSTEM}/configmaps/lastword-config"


def restart_webhook(cluster):
    """So that it reads a changed configuration at once: the kubelet mounts it within a minute."""
    cluster.kubectl("rollout", "restart", "-n", product.SYSTEM, "deployment/lastword-webhook")
    product.wait_available(cluster, "lastword-webhook")
    wait_old_pods_gone(cluster)


@pytest.fixture
def remedy(installed):
    """What overlays/fail-pod adds to the installed overlay, and a rule that asks for it."""
    arguments = installed.get(OBSERVER)["spec"]["template"]["spec"]["containers"][0]["args"]
    config = installed.get(CONFIG)["data"]["config.yaml"]

    def set_arguments(value):
        installed.call("PATCH", OBSERVER, [{
            "op": "replace", "path": "/spec/template/spec/containers/0/args", "value": value}],
            "application/json-patch+json")
        product.wait_available(installed, "lastword-observer")

    product.add(installed, "overlays/fail-pod")
    changed = config.replace("  - name: agents\n", "  - name: agents\n    onSilentExit: fail-pod\n")
    assert changed != config
    installed.patch(CONFIG, {"data": {"config.yaml": changed}})
    restart_webhook(installed)
    set_arguments([*arguments, "--remedy=fail-pod"])
    yield installed
    set_arguments(arguments)
    installed.patch(CONFIG, {"data": {"config.yaml": config}})
    restart_webhook(installed)
    product.remove(installed, "overlays/fail-pod")


def patch_as_the_observer(cluster, path, body):
    connection = cluster.connect()
    connection.request("PATCH", f"{path}?dryRun=All", json.dumps(body), {
        "Content-Type": "application/merge-patch+json",
        "Impersonate-User": f"system:serviceaccount:{product.SYSTEM}:lastword-observer"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def check_the_policy(cluster, pod):
    """The observer's account can lower that pod's deadline, and nothing else."""
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
    deadline = {"activeDeadlineSeconds": 1}
    image = {"containers": [{"name": "main", "image": NOWHERE}]}
    for body in ({"metadata": {"labels": {"a": "b"}}}, {"spec": {"activeDeadlineSeconds": 2}},
                 {"metadata": {"annotations": {"a": "b"}}, "spec": deadline}):
        status, text = patch_as_the_observer(cluster, path, body)
        assert status == 422 and "the observer may" in text, (body, status, text)
    status, text = patch_as_the_observer(cluster, path, {"spec": deadline | image})
    assert status == 422, text
    assert patch_as_the_observer(cluster, path, {"spec": deadline})[0] == 200


def test_a_silent_job_goes_on(remedy, namespace):
    """Its first pod's agent fails while a sidecar runs on; the pod is failed, the Job counts it and
    starts another one, which fails as well: then the Job has failed, with two pods."""
    cluster = remedy
    template = agents.pod(agents.container("echo 'fatal: the model is gone' >&2; exit 101"),
                          agents.SIDECAR, grace=2)
    cluster.create(f"/apis/batch/v1/namespaces/{namespace}/jobs",
                   agents.job("coder", template, backoffLimit=1))
    first, = kube.wait_until(lambda: pods_of(cluster, namespace, "coder"), "the first pod")
    if cluster.version >= (1, 30):
        check_the_policy(cluster, first)
    kube.wait_until(lambda: job(cluster, namespace, "coder")["status"].get("failed") == 1,
                    lambda: f"the first pod fails: {pods_of(cluster, namespace, 'coder')} "
                            f"{product.describe(cluster)}")
    kube.wait_until(lambda: any(c["type"] == "Failed" and c["status"] == "True" for c in
                                job(cluster, namespace, "coder")["status"].get("conditions", [])),
                    lambda: f"the Job fails: {job(cluster, namespace, 'coder')['status']} "
                            f"{pods_of(cluster, namespace, 'coder')}")
    status = job(cluster, namespace, "coder")["status"]
    assert status["failed"] == 2
    assert {c.get("reason") for c in status["conditions"] if c["type"] == "Failed"} == {
        "BackoffLimitExceeded"}
    pods = pods_of(cluster, namespace, "coder")
    assert {(p["status"]["phase"], p["status"].get("reason")) for p in pods} == {
        ("Failed", "DeadlineExceeded")}
    for pod in pods:
        record, = kube.records(cluster, namespace, pod["metadata"]["uid"])
        assert record["spec"]["exitCode"] == 101
        assert any(c["type"] == "Silent" for c in record["status"]["conditions"])
    events = cluster.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    assert {e["involvedObject"]["name"] for e in events if e["reason"] == "AgentPodFailed"} == {
        p["metadata"]["name"] for p in pods}
