"""Agents whose pods the observer sees in a cluster of the tests: injected as the webhook injects them,
with the reports that their watchdogs print, and the states that a kubelet publishes."""
import datetime
import itertools
import json

import injected
from waiting import wait_until

NAMESPACE = "agents"


def now(seconds=0):
    time = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class Agents:
    """The pods of a cluster (tests/observer/cluster.py), which happen as the test says."""

    def __init__(self, cluster, folder):
        self.cluster = cluster
        self.folder = folder
        self.numbers = itertools.count(1)

    def pod(self, agent, sidecar=False, inject=True, annotations=None, publish=True):
        """A pod whose agent runs, and with a sidecar that knows nothing of it."""
        number = next(self.numbers)
        names = ["main", "proxy"] if sidecar else ["main"]
        pod = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"{agent}-{number}", "namespace": NAMESPACE,
                         "uid": f"{number:08d}-0000-4000-8000-000000000000",
                         "labels": {"case": agent, "agent": agent}, "annotations": annotations or {},
                         # Of one family: the runs of the same agent.
                         "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "uid": "9",
                                              "name": f"{agent}-{28412345 + number}",
                                              "controller": True}]},
            "spec": {"restartPolicy": "Never", "containers": [
                {"name": name, "image": "agent", "command": ["/agent"]} for name in names]},
        }
        if inject:
            pod, = injected.inject([pod], self.folder)
        pod["spec"]["nodeName"] = "node1"
        pod["status"] = {"phase": "Running", "startTime": now(), "containerStatuses": [
            {"name": name, "restartCount": 0, "state": {"running": {"startedAt": now()}}}
            for name in names]}
        if publish:
            self.publish("ADDED", pod)
        return pod

    def publish(self, kind, pod, line=None):
        place = len(self.cluster.events)
        if line is not None:
            self.cluster.lines.append({"at": place, "namespace": NAMESPACE, "line": line,
                                       "pod": pod["metadata"]["name"]})
        self.cluster.events.append({"type": kind, "object": json.loads(json.dumps(pod))})
        self.cluster.advance(place + 1)
        self.cluster.wait_seen(place + 1)

    def end(self, pod, code=0, message=None, **report):
        """The agent ends. report: fields of its watchdog's report that are others than usual."""
        status = pod["status"]["containerStatuses"][0]
        terminated = {"exitCode": code, "reason": "Error" if code else "Completed",
                      "startedAt": status["state"]["running"]["startedAt"], "finishedAt": now()}
        if message is not None:
            terminated["message"] = message
        line = None
        if "lastword.dev/injected" in pod["metadata"]["labels"]:
            line = json.loads(injected.line_about(pod, "main", 0, terminated))
            line = json.dumps({**line, **report}, separators=(",", ":"))
        status["state"] = {"terminated": terminated}
        if len(pod["status"]["containerStatuses"]) == 1:
            pod["status"]["phase"] = "Failed" if code else "Succeeded"
        self.publish("MODIFIED", pod, line)

    def run(self, agent, code=0, **options):
        pod = self.pod(agent)
        self.end(pod, code, **options)
        return pod

    def fail_silently(self, agent):
        """Its sidecar runs on as if nothing had happened."""
        pod = self.pod(agent, sidecar=True)
        self.end(pod, 101)
        return pod

    def end_sidecar(self, pod):
        proxy = pod["status"]["containerStatuses"][1]
        began = proxy["state"]["running"]["startedAt"]
        proxy["state"] = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": began,
                                         "finishedAt": now()}}
        pod["status"]["phase"] = "Failed"
        self.publish("MODIFIED", pod)

    def delete(self, pod):
        self.publish("DELETED", pod)

    def cannot_start(self, agent):
        """Since the watchdog's image cannot be pulled."""
        pod = self.pod(agent, publish=False)
        sidecar, = pod["spec"]["initContainers"]
        main, = pod["spec"]["containers"]
        pod["status"] |= {"phase": "Pending", "initContainerStatuses": [
            {"name": sidecar["name"], "restartCount": 0,
             "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}]}
        pod["status"]["containerStatuses"] = [
            {"name": main["name"], "restartCount": 0,
             "state": {"waiting": {"reason": "PodInitializing"}}}]
        self.publish("ADDED", pod)

    def delete_unwatched(self, agent):
        """Without a watchdog, and its log is gone when the observer wants to follow it."""
        pod = self.pod(agent, inject=False)
        pod["metadata"] |= {"deletionTimestamp": now(30), "deletionGracePeriodSeconds": 30}
        self.publish("MODIFIED", pod)
        log = f"/pods/{pod['metadata']['name']}/log"
        wait_until(lambda: any(log in path for _, path in list(self.cluster.requests)),
                   "its log to be followed")
        self.end(pod, 137)
        self.delete(pod)

    def overrun(self, agent):
        """It runs past its deadline, of a second, and its watchdog reports that."""
        pod = self.pod(agent, annotations={"lastword.dev/deadline": "1s",
                                           "lastword.dev/on-deadline": "report"})
        line = {"event": "deadline", "time": now(), "uid": pod["metadata"]["uid"],
                "container": "main", "duration_seconds": 1.1, "payload_snippet": "working"}
        self.publish("MODIFIED", pod, json.dumps(line))
        return pod
