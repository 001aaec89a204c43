"""Pods of the scenarios."""
import itertools
import pathlib

import product

_numbers = itertools.count(1)
HOLD = str(10 * 60 * 1000)  # milliseconds: longer than any test
RESTRICTED = product.RESTRICTED
# Runs until a signal file tells it to exit.
WAITING = ("echo ready; while [ ! -e /tmp/die ]; do sleep 0.05; done; "
           "echo 'fatal: the model is gone' >&2; exit 5")
# A sidecar that never looks at the agent.
SIDECAR = {"name": "proxy", "image": product.AGENT,
           "command": ["sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"]}


def die(pid):
    """Makes an agent that is WAITING exit."""
    pathlib.Path(f"/proc/{pid}/root/tmp/die").touch()


def container(command, name="main", image=product.AGENT, **more):
    if isinstance(command, str):
        command = ["sh", "-c", command]
    return {"name": name, "image": image, "command": list(command), **more}


def pod(*containers, annotations=None, labels=None, restart="Never", grace=30, **spec):
    number = next(_numbers)
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"agent-{number}", "annotations": annotations or {},
                         "labels": {"app.kubernetes.io/component": "agent", "task-id": f"t{number}",
                                    **(labels or {})}},
            "spec": {"restartPolicy": restart, "terminationGracePeriodSeconds": grace,
                     "containers": list(containers), **spec}}


def job(name, template, **spec):
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"template": {"metadata": {k: v for k, v in template["metadata"].items()
                                               if k != "name"},
                                  "spec": template["spec"]}, **spec}}
