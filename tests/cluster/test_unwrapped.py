"""Agents that no watchdog watches: not wrapped, or not injected at all. The observer has only their logs,
which go with the pods, and what the kubelet sends in the logs' place is nobody's last words."""
import concurrent.futures
import itertools
import re

import agents
import drivers
import kube
import product

import pytest

BATCHES, BATCH, GRACE = 4, 25, 3  # pods deleted at once, seconds
# Texts of kubelets and runtimes (observer/evidence/log_error.c).
KUBELETS = re.compile("symlinks|unable to retrieve|failed to open log|rpc error|fsnotify")
MISSED = "lastword_observer_missed_logs_total"
LAST = "fatal: these are the last words of {}"
# Ends by itself when told to, as most do; in a shell a trap runs between two commands. Before it is
# ready it would ignore the signal, being process 1.
STUBBORN = ("trap 'echo \"" + LAST.format("$(hostname)") + "\" >&2; exit 7' TERM; echo ready; "
            "while :; do sleep 0.1; done")


def metric(cluster, observer, name):
    """The sum of a metric's series, of all replicas."""
    total = 0
    for pod in product.current_pods(cluster, observer):
        path = (f"/api/v1/namespaces/{product.SYSTEM}/pods/{pod['metadata']['name']}:9090"
                "/proxy/metrics")
        for line in cluster.get(path).splitlines():
            if re.match(rf"{name}(\{{| )", line):
                total += float(line.rsplit(" ", 1)[1])
    return total


def unwrapped():
    return agents.pod(agents.container(STUBBORN), grace=GRACE,
                      annotations={"lastword.dev/shim": "off"})


def test_many_are_deleted_at_once(installed, figures):
    """100 records with the last line each, or with nothing but the kubelet's word, and a metric that
    counts these."""
    product.wait_injecting(installed, drivers.INJECTED)
    missed_before = metric(installed, "lastword-observer", MISSED)
    path = f"/api/v1/namespaces/{drivers.INJECTED}"
    specs = {}
    for _ in range(BATCHES):
        names = {}
        for manifest in itertools.islice(iter(unwrapped, None), BATCH):
            manifest["metadata"]["namespace"] = drivers.INJECTED
            made = installed.create(f"{path}/pods", manifest)
            names[made["metadata"]["name"]] = made["metadata"]["uid"]
            assert "lastword-watchdog" not in str(made["spec"])

        def running():
            return {pod["metadata"]["name"] for pod in installed.get(f"{path}/pods")["items"]
                    if "running" in kube.status_of(pod, "main").get("state", {})}
        kube.wait_until(lambda: set(names) <= running(), "a batch runs")
        for name in names:
            kube.wait_until(lambda: "ready" in installed.get(f"{path}/pods/{name}/log?container=main"),
                            f"{name} is ready")
        with concurrent.futures.ThreadPoolExecutor(BATCH) as pool:
            list(pool.map(lambda name: installed.delete(f"{path}/pods/{name}"), names))

        def all_recorded():
            found = installed.get(f"/apis/lastword.dev/v1alpha1/namespaces/{drivers.INJECTED}"
                                  "/agentexits")["items"]
            specs.update((item["spec"]["uid"], item["spec"]) for item in found
                         if item["spec"]["uid"] in names.values())
            return set(names.values()) <= set(specs)
        kube.wait_until(all_recorded, "every termination has its record")

    assert len(specs) == BATCHES * BATCH
    with_words = 0
    for spec in specs.values():
        assert not KUBELETS.search(str(spec)), spec
        words = LAST.format(spec["pod"]) in spec.get("logTail", "")
        with_words += words
        assert spec["source"] == ("log" if words else "kubelet"), spec
        # An old kubelet may delete the pod before it has published the code.
        assert spec.get("exitCode", 7) == 7, spec
    missed = metric(installed, "lastword-observer", MISSED) - missed_before
    figures(f"of {len(specs)} agents without a watchdog, deleted {BATCH} at a time with {GRACE} s: "
            f"{with_words} records with the last words, {missed:.0f} logs missed")
    assert missed == len(specs) - with_words
    # All of them on 1.36; 96 to 99 on 1.20, whose kubelet, on a busy machine, answers after 4 s that
    # the container is terminated. Without following it was 21.
    assert with_words >= len(specs) * 9 // 10


@pytest.fixture
def without_webhook(installed):
    """No replica of the webhook runs."""
    path = f"/apis/apps/v1/namespaces/{product.SYSTEM}/deployments/lastword-webhook"
    replicas = installed.get(path)["spec"]["replicas"]
    installed.patch(path, {"spec": {"replicas": 0}})
    kube.wait_until(lambda: not product.pods(installed, "lastword-webhook"), "no webhook")
    yield
    installed.patch(path, {"spec": {"replicas": replicas}})
    product.wait_available(installed, "lastword-webhook")
    product.wait_injecting(installed, drivers.INJECTED)


def test_the_webhook_is_down_while_a_job_starts(installed, without_webhook):
    """Its failure is recorded all the same, and somebody hears of it."""
    template = agents.pod(agents.container("echo on it; sleep 2; echo 'fatal: the model is gone' >&2; "
                                           "exit 5"))
    job = agents.job("not-injected", template, backoffLimit=0)
    jobs = f"/apis/batch/v1/namespaces/{drivers.INJECTED}/jobs"
    made = installed.create(jobs, job)
    uid = made["metadata"]["uid"]

    def pod():
        found = installed.get(f"/api/v1/namespaces/{drivers.INJECTED}/pods?labelSelector="
                              "job-name%3Dnot-injected")["items"]
        return found and found[0]
    metadata = kube.wait_until(pod, "the Job's pod")["metadata"]
    assert "lastword.dev/injected" not in metadata["labels"]
    kube.wait_until(lambda: kube.records(installed, drivers.INJECTED, metadata["uid"]),
                    "its record")
    record, = kube.records(installed, drivers.INJECTED, metadata["uid"])
    spec = record["spec"]
    assert (spec["exitCode"], spec["source"], spec["owner"]) == (5, "log", "Job/not-injected")
    assert spec["logTail"] == "on it\nfatal: the model is gone\n"
    assert spec["taskId"] == template["metadata"]["labels"]["task-id"]

    def event():
        return [e for e in installed.get(f"/api/v1/namespaces/{drivers.INJECTED}/events")["items"]
                if e["reason"] == "AgentPodNotInjected" and e["involvedObject"]["uid"] == uid]
    kube.wait_until(event, "an Event about the Job")
    assert len(event()) == 1 and event()[0]["involvedObject"]["kind"] == "Job"
    installed.delete(f"{jobs}/not-injected")
    installed.delete(f"/api/v1/namespaces/{drivers.INJECTED}/pods/{metadata['name']}")
