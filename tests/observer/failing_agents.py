"""Agents that end as a test wants them to, for who is notified of it."""
import datetime

import yaml

from cluster import Cluster


def now(seconds=0):
    time = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class Agents(Cluster):
    """Pods that end as they are told, each with an output of its own."""

    def __init__(self, folder):
        super().__init__(folder, [])
        self.outputs = {}

    def log(self, request, path, query):
        name = path.split("/")[-2]
        request.send(200, self.outputs.get(name, "panic: it broke").encode())

    def end(self, name, code=1, namespace="agents", family="writer", output=None, helper=False,
            context=None):
        """family: of the Job that owns it."""
        number = len(self.events)
        state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed",
                                "startedAt": now(-60) if code else now(), "finishedAt": now(-1)}}
        if code == 0:  # it began after all that failed before
            state["terminated"]["finishedAt"] = now(1)
        statuses = [{"name": "main", "restartCount": 0, "state": state}]
        containers = [{"name": "main"}]
        if helper:
            containers.append({"name": "proxy"})
            statuses.append({"name": "proxy", "restartCount": 0,
                             "state": {"running": {"startedAt": now(-60)}}})
        if output is not None:
            self.outputs[name] = output
        self.events.append({"type": "ADDED", "object": {
            "metadata": {"namespace": namespace, "name": name, "uid": f"{number:08d}-aaaa",
                         "labels": {"agent": "rex"},
                         "annotations": {f"lastword.dev/context.{key}": value
                                         for key, value in (context or {}).items()},
                         "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": family,
                                              "uid": "99", "controller": True}]},
            "spec": {"restartPolicy": "Never", "nodeName": "node1", "containers": containers},
            "status": {"phase": "Running" if helper else "Succeeded" if code == 0 else "Failed",
                       "startTime": now(-60), "containerStatuses": statuses}}})
        self.advance(len(self.events))

    def states(self, receiver):
        """What the records say of it."""
        found = [entry for status in list(self.statuses.values())
                 for entry in status.get("notifications", []) if entry["receiver"] == receiver]
        return [entry["state"] for entry in found]


def write_config(folder, *receivers):
    path = folder / "observer.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "lastword.dev/v1alpha1", "kind": "ObserverConfig",
                                    "receivers": list(receivers)}))
    return path
