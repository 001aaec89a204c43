"""The installed product with the API server, quotas and Jobs, and what happens when the webhook fails.
In the cluster only."""
import base64
import concurrent.futures
import json
import os
import random
import signal
import threading
import time

import pytest

import agents
import dialer
import drivers
import kube
import product


def has_label(pod):
    return (pod["metadata"].get("labels") or {}).get("lastword.dev/injected") == "true"


def create(cluster, namespace, manifest):
    return kube.KubernetesPod(
        cluster, cluster.create(f"/api/v1/namespaces/{namespace}/pods", manifest))


@pytest.fixture
def namespace(installed, request):
    """make(labels): an opted-in namespace, gone afterwards."""
    made = []

    def make(labels=None):
        name = f"scenario-{len(made)}-{os.urandom(3).hex()}"
        installed.make_namespace(name, {"lastword.dev/inject": "enabled", **(labels or {})})
        made.append(name)
        product.wait_injecting(installed, name)
        return name

    yield make
    for name in made:
        installed.delete(f"/api/v1/namespaces/{name}")


# ---- What is installed ----

def rights(cluster, account):
    """The rules of an account in the system namespace, without those that all accounts have."""
    connection = cluster.connect()
    responses = []
    for who in (account, "nobody"):
        user = f"system:serviceaccount:{product.SYSTEM}:{who}"
        connection.request(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            json.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                        "spec": {"namespace": product.SYSTEM}}),
            {"Content-Type": "application/json", "Impersonate-User": user})
        response = json.loads(connection.getresponse().read())
        responses.append({(tuple(sorted(rule["verbs"])), tuple(rule.get("apiGroups", [])),
                         tuple(rule.get("resources", [])), tuple(rule.get("resourceNames", [])))
                        for rule in response["status"]["resourceRules"]})
    connection.close()
    return responses[0] - responses[1]


def test_rights_of_the_webhook(installed):
    """The account has the rights of docs/certificates.md and no other."""
    assert rights(installed, "lastword-webhook") == {
        (("get", "patch"), ("",), ("secrets",), ("lastword-webhook-tls",)),
        (("create",), ("",), ("events",), ()),
        (("get",), ("",), ("configmaps",), ("lastword-breaker",)),
        (("get", "patch"), ("admissionregistration.k8s.io",), ("mutatingwebhookconfigurations",),
         ("lastword",))}


def test_rights_of_the_observer(installed):
    """The account has the rights of docs/observer.md and no other."""
    assert rights(installed, "lastword-observer") == {
        (("get", "list", "watch"), ("",), ("pods",), ()),
        (("list", "watch"), ("",), ("namespaces",), ()),
        (("get",), ("",), ("pods/log",), ()),
        (("create", "list", "watch"), ("",), ("events",), ()),
        (("get", "patch"), ("",), ("configmaps",), ("lastword-breaker",)),
        (("create", "delete", "get", "list"), ("lastword.dev",), ("agentexits",), ()),
        (("patch",), ("lastword.dev",), ("agentexits/status",), ()),
        (("get", "update"), ("coordination.k8s.io",), ("leases",), ("lastword-observer",)),
        (("create",), ("coordination.k8s.io",), ("leases",), ())}


def test_applying_again_leaves_the_certificates(installed):
    """The shipped Secret has no data and the shipped configuration no caBundle: both stay."""
    secret = f"/api/v1/namespaces/{product.SYSTEM}/secrets/lastword-webhook-tls"
    before = installed.get(secret)["data"], installed.get(product.CONFIGURATION)["webhooks"]
    assert before[0].keys() == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    product.apply(installed)
    assert (installed.get(secret)["data"],
            installed.get(product.CONFIGURATION)["webhooks"]) == before


# ---- The admission policy of overlays/hardened ----

# What somebody who holds the webhook's token would try, as JSON patches.
WIDENED = [
    {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"},
    {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 30},
    {"op": "add", "path": "/webhooks/0/rules/0/resources/-", "value": "secrets"},
    {"op": "remove", "path": "/webhooks/0/namespaceSelector"},
    {"op": "add", "path": "/webhooks/0/objectSelector", "value": {"matchLabels": {"a": "b"}}},
    {"op": "replace", "path": "/webhooks/0/clientConfig", "value": {"url": "https://other.example/"}},
    {"op": "replace", "path": "/webhooks/0/clientConfig/service/path", "value": "/other"},
    {"op": "replace", "path": "/webhooks/0/name", "value": "other.lastword.dev"},
    {"op": "remove", "path": "/webhooks/0"},
    {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
    {"op": "add", "path": "/metadata/finalizers", "value": ["other.example/stay"]},
]


@pytest.fixture
def hardened(installed):
    """What overlays/hardened adds to the installed overlay."""
    product.add(installed, "overlays/hardened")
    yield installed
    product.remove(installed, "overlays/hardened")


def patch_as_the_webhook(cluster, operations):
    """The response's status and text."""
    connection = cluster.connect()
    connection.request("PATCH", f"{product.CONFIGURATION}?dryRun=All", json.dumps(operations), {
        "Content-Type": "application/json-patch+json",
        "Impersonate-User": f"system:serviceaccount:{product.SYSTEM}:lastword-webhook"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


@pytest.mark.kubernetes(1, 30)
def test_the_webhook_changes_its_ca_bundles_only(hardened):
    cluster = hardened
    kube.wait_until(lambda: patch_as_the_webhook(cluster, WIDENED[:1])[0] == 422,
                    "the API server knows the policy")
    for operation in WIDENED:
        status, text = patch_as_the_webhook(cluster, [operation])
        assert status == 422 and "nothing but the caBundles" in text, operation
    bundle = {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "eA=="}
    assert patch_as_the_webhook(cluster, [bundle])[0] == 200
    # The real webhook repairs what an admin breaks, with the policy in force.
    before = cluster.get(product.CONFIGURATION)["webhooks"][0]["clientConfig"]["caBundle"]
    cluster.call("PATCH", product.CONFIGURATION, [bundle], "application/json-patch+json")
    kube.wait_until(lambda: before in cluster.get(product.CONFIGURATION)["webhooks"][0][
        "clientConfig"]["caBundle"], "the caBundle is repaired")


def test_disruption_budget(installed):
    version = "v1" if installed.version >= (1, 21) else "v1beta1"
    path = (f"/apis/policy/{version}/namespaces/{product.SYSTEM}/poddisruptionbudgets/"
            "lastword-webhook")
    kube.wait_until(lambda: installed.get(path)["status"].get("disruptionsAllowed") == 1,
                    lambda: installed.get(path))


def test_only_opted_in_namespaces(installed):
    for name in (drivers.PLAIN, product.SYSTEM, "kube-system", "default"):
        restricted = {**agents.RESTRICTED}
        made = installed.create(f"/api/v1/namespaces/{name}/pods?dryRun=All",
                                agents.pod(agents.container("true", securityContext=restricted)))
        assert not has_label(made)


def test_own_pods_are_never_sent(installed):
    """Not even when somebody labels the system's namespace."""
    path = f"/api/v1/namespaces/{product.SYSTEM}"
    label = {"metadata": {"labels": {"lastword.dev/inject": "enabled",
                                     "kubernetes.io/metadata.name": product.SYSTEM}}}
    installed.patch(path, label)
    try:
        made = installed.create(f"{path}/pods?dryRun=All", agents.pod(
            agents.container("true", securityContext=agents.RESTRICTED)))
        assert not has_label(made)
    finally:
        installed.patch(path, {"metadata": {"labels": {"lastword.dev/inject": None}}})


# ---- Namespaces with rules of their own ----

@pytest.mark.kubernetes(1, 25)
def test_pod_security_restricted(installed, namespace):
    name = namespace({"pod-security.kubernetes.io/enforce": "restricted"})
    pod = create(installed, name, agents.pod(
        agents.container("echo ready; exit 5", securityContext=agents.RESTRICTED)))
    assert pod.injected and pod.wait_end()[0] == 5
    assert pod.wait_line("end")["exit_code"] == 5


def test_limit_range_and_quota(installed, namespace):
    """The sidecar has what a quota asks for, stays within a LimitRange, and is counted."""
    name = namespace()
    installed.create(f"/api/v1/namespaces/{name}/limitranges", {
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "min": {"memory": "8Mi", "cpu": "1m"},
                             "max": {"memory": "128Mi", "cpu": "1"},
                             "default": {"memory": "64Mi", "cpu": "500m"},
                             "defaultRequest": {"memory": "32Mi", "cpu": "10m"}}]}})
    installed.create(f"/api/v1/namespaces/{name}/resourcequotas", {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
        "spec": {"hard": {"pods": "3", "requests.memory": "128Mi", "limits.memory": "256Mi",
                          "requests.cpu": "100m", "limits.cpu": "2"}}})
    quota = f"/api/v1/namespaces/{name}/resourcequotas/quota"
    kube.wait_until(lambda: "used" in installed.get(quota).get("status", {}), "the quota is counted")
    pod = create(installed, name, agents.pod(agents.container("echo ready; sleep 600")))
    assert pod.injected
    pod.wait_ready()
    used = kube.wait_until(lambda: installed.get(quota)["status"]["used"].get("pods") == "1"
                           and installed.get(quota)["status"]["used"], "the pod is counted")
    assert (used["requests.memory"], used["limits.memory"]) == ("48Mi", "80Mi")
    pod.delete(2)
    assert [line["event"] for line in pod.lines()][0] == "flush"


def test_quota_refuses_what_is_too_much(installed, namespace):
    """The injected sidecar does not get a pod around a quota, and the refusal names the quota."""
    name = namespace()
    installed.create(f"/api/v1/namespaces/{name}/resourcequotas", {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
        "spec": {"hard": {"requests.memory": "32Mi"}}})
    quota = f"/api/v1/namespaces/{name}/resourcequotas/quota"
    kube.wait_until(lambda: "used" in installed.get(quota).get("status", {}), "the quota is counted")
    resources = {"requests": {"memory": "20Mi"}}
    with pytest.raises(kube.Refused, match="exceeded quota"):
        create(installed, name, agents.pod(agents.container("true", resources=resources)))
    resources = {"requests": {"memory": "16Mi"}}
    create(installed, name, agents.pod(agents.container("true", resources=resources)))


# ---- Jobs ----

def run_job(cluster, namespace, name, template, **spec):
    """The Job's status when it is Complete or Failed."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    cluster.create(path, agents.job(name, template, **spec))

    def over():
        status = cluster.get(f"{path}/{name}")["status"]
        conditions = [c for c in status.get("conditions") or []
                      if c["type"] in ("Complete", "Failed") and c["status"] == "True"]
        return (conditions[0]["type"], conditions[0].get("reason"), status) if conditions else None
    return kube.wait_until(over, lambda: cluster.get(f"{path}/{name}"))


def both_jobs(cluster, name, template, **spec):
    """Runs the same Job wrapped and unwrapped at the same time, and returns the results."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run_job, cluster, namespace, name, template, **spec)
                for namespace in (drivers.INJECTED, drivers.PLAIN)]
        results = [run.result() for run in runs]
    return [(kind, reason, status.get("succeeded", 0), status.get("failed", 0))
            for kind, reason, status in results]


def job_pods(cluster, namespace, name):
    return cluster.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector=job-name%3D{name}")["items"]


def check_job_records(cluster, name, container, code):
    """Each failed pod of the Job, and no other, has one record."""
    pods = job_pods(cluster, drivers.INJECTED, name)
    assert pods
    for pod in pods:
        def found():
            return kube.records(cluster, drivers.INJECTED, pod["metadata"]["uid"])
        if code != 0:
            kube.wait_until(found, f"the record of {pod['metadata']['name']}")
        assert [(r["spec"]["container"], r["spec"]["exitCode"]) for r in found()] == \
            [(container, code)] * (code != 0)


@pytest.mark.parametrize("code,expected", [(0, ("Complete", 1, 0)), (3, ("Failed", 0, 2))])
def test_job_is_accounted_the_same(installed, code, expected):
    wrapped, plain = both_jobs(installed, f"accounted-{code}",
                               agents.pod(agents.container(f"echo ready; exit {code}")),
                               backoffLimit=1)
    assert wrapped == plain
    assert (plain[0], *plain[2:]) == expected
    for pod in job_pods(installed, drivers.INJECTED, f"accounted-{code}"):
        assert has_label(pod)
        ours = kube.status_of(pod, kube.OUR_CONTAINER)["state"]["terminated"]
        assert ours["exitCode"] == 0
    check_job_records(installed, f"accounted-{code}", "main", code)


@pytest.mark.kubernetes(1, 26)
@pytest.mark.parametrize("code,expected", [(42, ("Failed", "PodFailurePolicy")),
                                           (3, ("Failed", "BackoffLimitExceeded"))])
def test_job_with_pod_failure_policy(installed, code, expected):
    """Rules without a container name also match the sidecar's exit code: it must be 0."""
    policy = {"rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [137, 143]}}]}
    wrapped, plain = both_jobs(installed, f"policy-{code}",
                               agents.pod(agents.container(f"echo ready; exit {code}")),
                               backoffLimit=1, podFailurePolicy=policy)
    assert wrapped == plain and plain[:2] == expected
    check_job_records(installed, f"policy-{code}", "main", code)


def test_job_with_polling_sidecars_finishes(installed):
    """The incident: main has terminated, and sidecars wait for its done file. Unwrapped, the Job never
    ends."""
    mount = [{"name": "workspace", "mountPath": "/workspace"}]
    template = agents.pod(
        agents.container("echo ready; exit 7", name="claude", volumeMounts=mount),
        agents.container("while [ ! -e /workspace/.agent_done ]; do sleep 0.1; done",
                         name="docker-daemon", volumeMounts=mount),
        labels={"cli-container": "claude"}, volumes=[{"name": "workspace", "emptyDir": {}}])
    path = f"/apis/batch/v1/namespaces/{drivers.PLAIN}/jobs"
    installed.create(path, agents.job("polling", template, backoffLimit=0))
    kind, _, status = run_job(installed, drivers.INJECTED, "polling", template, backoffLimit=0)
    assert (kind, status["failed"]) == ("Failed", 1)
    check_job_records(installed, "polling", "claude", 7)

    def main_is_dead():
        found = job_pods(installed, drivers.PLAIN, "polling")
        return found and "terminated" in kube.status_of(found[0], "claude").get("state", {})
    kube.wait_until(main_is_dead, "main of the unwrapped one dies")
    assert installed.get(f"{path}/polling")["status"].get("active") == 1
    installed.delete(f"{path}/polling")


# ---- A webhook that fails ----

def scale(cluster, replicas):
    cluster.patch(f"/apis/apps/v1/namespaces/{product.SYSTEM}/deployments/lastword-webhook",
                  {"spec": {"replicas": replicas}})
    kube.wait_until(lambda: len(product.pods(cluster, "lastword-webhook")) == replicas,
                    f"{replicas} replicas")
    if replicas:
        product.wait_available(cluster, "lastword-webhook")


def test_webhook_is_down(installed):
    """Pods start as they were written."""
    scale(installed, 0)
    try:
        pod = create(installed, drivers.INJECTED, agents.pod(agents.container("echo ready; exit 4")))
        assert not pod.injected and pod.wait_end() == (4, "Error")
        pod.remove()
    finally:
        scale(installed, 2)
    product.wait_injecting(installed, drivers.INJECTED)


class Dialers(dialer.Dialers):
    """Clients of the replicas that trust only what the caBundle says at that moment, or a second
    ago; the caBundle is watched."""

    def __init__(self, cluster, file):
        self.stopped = False
        self.bundles = open(file, "w", buffering=1)
        self.take("FIRST", cluster.get(product.CONFIGURATION))
        folder, name = product.CONFIGURATION.rsplit("/", 1)
        cluster.watch(f"{folder}?watch=1&fieldSelector=metadata.name%3D{name}",
                      lambda: self.stopped, self.take)
        addresses = [f"{pod['status']['podIP']}:8443"
                     for pod in product.current_pods(cluster, "lastword-webhook")]
        assert len(addresses) == 2
        super().__init__(file, (0, 1), 5, f"lastword-webhook.{product.SYSTEM}.svc", addresses)

    def take(self, _, configuration):
        bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"]
        self.bundles.write(json.dumps(
            [time.monotonic(), base64.b64decode(bundle).decode()]) + "\n")

    def stop(self):
        self.stopped = True
        return super().stop()


def test_certificates_rotate_under_load(installed, figures, tmp_path):
    """The leaf certificate and the CA are replaced while the API server calls the webhook: every creation is
    injected, so every handshake was trusted; and so are those of clients that connect anew all the
    time."""
    path = f"/apis/apps/v1/namespaces/{product.SYSTEM}/deployments/lastword-webhook"
    args = product.deployment(installed, "lastword-webhook")["spec"]["template"]["spec"][
        "containers"][0]["args"]

    def run_with(arguments):
        installed.call("PATCH", path, [{
            "op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments}],
            "application/json-patch+json")
        product.wait_available(installed, "lastword-webhook")

    def bundle():
        webhook = installed.get(product.CONFIGURATION)["webhooks"][0]
        return webhook["clientConfig"].get("caBundle")

    def leaf():
        secret = installed.get(f"/api/v1/namespaces/{product.SYSTEM}/secrets/lastword-webhook-tls")
        return secret["data"]["tls.crt"]

    run_with([*args, "--cert-lifetime=30s", "--ca-lifetime=60s", "--propagation-delay=5s"])
    leaves, bundles, made = {leaf()}, {bundle()}, 0
    manifest = agents.pod(agents.container("true"))

    def rotated():
        nonlocal made
        response = installed.create(f"/api/v1/namespaces/{drivers.INJECTED}/pods?dryRun=All", manifest)
        assert has_label(response), "a creation went by the webhook"
        made += 1
        leaves.add(leaf())
        bundles.add(bundle())
        return len(leaves) >= 4 and len(bundles) >= 3

    dialers = Dialers(installed, tmp_path / "bundles")
    try:
        kube.wait_until(rotated, lambda: f"{len(leaves)} leaves, {len(bundles)} bundles")
    finally:
        seen = dialers.stop()
    figures(f"certificates: {len(leaves)} leaves and {len(bundles)} bundles in turn, "
            f"{made} creations, all injected; {sum(seen.counts)} new connections, "
            f"{seen.rate:.0f} a second, {len(seen.failures)} failed")
    assert sum(seen.counts) > 0 and seen.failures == []
    run_with(args)


def webhook_processes(cluster):
    found = []
    for pod in product.pods(cluster, "lastword-webhook"):
        if "running" in kube.status_of(pod, "webhook").get("state", {}):
            watched = kube.KubernetesPod(cluster, pod)
            found += watched.pids("webhook")[:1]
            watched.gone.set()
    return found


def test_webhook_hangs(installed):
    """The webhook accepts the connection and sends nothing: the API server goes on after the timeout."""
    # A replica of the rollout before may still be about to end, or one of the new ones to begin.
    product.wait_available(installed, "lastword-webhook")
    kube.wait_until(lambda: len(product.pods(installed, "lastword-webhook")) == 2 ==
                    len(webhook_processes(installed)), "two replicas and no more")
    stopped = webhook_processes(installed)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        pod = create(installed, drivers.INJECTED, agents.pod(agents.container("echo ready; exit 4")))
        assert not pod.injected
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert pod.wait_end() == (4, "Error")
    pod.remove()
    product.wait_available(installed, "lastword-webhook")
    product.wait_injecting(installed, drivers.INJECTED)


def test_webhook_is_killed_at_random_under_load(installed, figures):
    """Two replicas, one or the other killed all the time, by SIGKILL or by deletion: no creation
    fails, and what is injected is whole."""
    stop = threading.Event()
    results = {"injected": 0, "untouched": 0}
    failures = []
    lock = threading.Lock()
    manifest = agents.pod(agents.container("true"), agents.SIDECAR)

    def load():
        while not stop.is_set():
            try:
                made = installed.create(
                    f"/api/v1/namespaces/{drivers.INJECTED}/pods?dryRun=All",
                    {**manifest, "metadata": {**manifest["metadata"],
                                              "name": f"load-{os.urandom(6).hex()}"}})
                names = [c["name"] for c in made["spec"]["containers"]
                         + (made["spec"].get("initContainers") or [])]
                if has_label(made) != (kube.OUR_CONTAINER in names):
                    failures.append(names)
                with lock:
                    results["injected" if has_label(made) else "untouched"] += 1
            except Exception as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    choose = random.Random(4)
    kills = 0
    for _ in range(8):
        before = results["injected"] + results["untouched"]
        alive = webhook_processes(installed)
        if alive and choose.random() < 0.7:
            os.kill(choose.choice(alive), 9)
        else:
            victim = choose.choice(product.pods(installed, "lastword-webhook"))
            installed.delete(f"/api/v1/namespaces/{product.SYSTEM}/pods/"
                             f"{victim['metadata']['name']}", choose.choice([None, 0]))
        kills += 1
        kube.wait_until(lambda: results["injected"] + results["untouched"] >= before + 40
                        or failures, "reviews go on")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    figures(f"webhook killed {kills} times under load: {results['injected']} creations injected, "
            f"{results['untouched']} untouched, 0 failed")
    product.wait_available(installed, "lastword-webhook")
    product.wait_injecting(installed, drivers.INJECTED)
