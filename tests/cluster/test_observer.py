"""The observer during outages: each termination is recorded exactly once nevertheless. What it records
of the other scenarios is checked there."""
import os
import pathlib
import signal
import time

import agents
import conftest
import drivers
import kube
import product

import pytest

NAME = "lastword-observer"
STOPPED = 20  # seconds without an API server


@pytest.fixture
def agent(installed):
    driver = drivers.KubernetesDriver(installed)
    product.wait_injecting(installed, drivers.INJECTED)
    pod = driver.make(agents.pod(agents.container(agents.WAITING), agents.SIDECAR))
    pod.wait_ready()
    yield driver, pod
    driver.clean()


def check(driver, pod):
    driver.check_record(pod, exitCode=5, runningContainers=["proxy"], restartCount=0,
                        summary="fatal: the model is gone")


def processes(cluster):
    """{pod's name: pid} of the observers."""
    found = {}
    for pod in product.pods(cluster, NAME):
        if "running" in kube.status_of(pod, "observer").get("state", {}):
            watched = kube.KubernetesPod(cluster, pod)
            watched.gone.set()
            found[pod["metadata"]["name"]] = watched.pids("observer")[0]
    return found


def leader(cluster):
    """The pod that holds the Lease: its identity begins with the pod's name."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{product.SYSTEM}/leases/{NAME}"
    holder = kube.wait_until(
        lambda: (cluster.find(path) or {}).get("spec", {}).get("holderIdentity"), "a leader")
    pids = processes(cluster)
    return next((pids[name] for name in pids if holder.startswith(name)), None)


def test_api_server_is_away_at_the_moment_of_termination(agent):
    driver, pod = agent
    first = pod.pid()
    server = int((pathlib.Path(conftest.NODE) / "kube-apiserver.pid").read_text())
    os.kill(server, signal.SIGSTOP)
    try:
        agents.die(first)
        time.sleep(STOPPED)  # the length of the outage is the scenario
    finally:
        os.kill(server, signal.SIGCONT)
    check(driver, pod)


def test_leader_is_killed_at_the_moment_of_termination(agent, installed):
    driver, pod = agent
    first = pod.pid()
    holder = kube.wait_until(lambda: leader(installed), "the leader's process")
    os.kill(holder, signal.SIGKILL)
    agents.die(first)
    check(driver, pod)
    product.wait_available(installed, NAME)


def test_both_replicas_are_away_at_the_moment_of_termination(agent, installed):
    driver, pod = agent
    first = pod.pid()
    both = kube.wait_until(lambda: len(processes(installed)) == 2 and processes(installed),
                           "two replicas")
    for pid in both.values():
        os.kill(pid, signal.SIGKILL)
    agents.die(first)
    check(driver, pod)
    product.wait_available(installed, NAME)


@pytest.mark.kubernetes(1, 25)
def test_a_record_is_never_changed(agent, installed):
    """The CRD's rules in CEL, which older servers ignore."""
    driver, pod = agent
    agents.die(pod.pid())
    check(driver, pod)
    record, = kube.records(installed, pod.namespace, pod.pod["metadata"]["uid"])
    path = (f"/apis/lastword.dev/v1alpha1/namespaces/{pod.namespace}/agentexits/"
            + record["metadata"]["name"])
    for change in ({"summary": "nothing happened"}, {"final": False}, {"context": {"k": "new"}}):
        with pytest.raises(kube.Refused) as refused:
            installed.patch(path, {"spec": change})
        assert refused.value.code == 422
        assert "spec is immutable, a record is written once" in refused.value.body
    installed.patch(path, {"metadata": {"labels": {"kept": "yes"}}})  # what is not said is free


def test_a_deadline_is_reported_while_the_agent_runs(installed):
    """onDeadline: report: nothing ends it, somebody hears of it, and its record says so."""
    driver = drivers.KubernetesDriver(installed)
    product.wait_injecting(installed, drivers.INJECTED)
    pod = driver.make(agents.pod(agents.container(agents.WAITING),
                                 annotations={"lastword.dev/deadline": "2s"}))
    pod.wait_ready()

    def events():
        found = installed.get(f"/api/v1/namespaces/{pod.namespace}/events")["items"]
        return [e for e in found if e["involvedObject"]["name"] == pod.name
                and e["reason"] == "AgentDeadlineExceeded"]
    kube.wait_until(events, "an Event about the deadline")
    assert "Last output: ready" in events()[0]["message"] and pod.running("main")
    agents.die(pod.pid())
    driver.check_record(pod, exitCode=5)
    assert driver.records(pod)[0]["deadlineExceededAt"]
    driver.clean()
