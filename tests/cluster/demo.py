#!/usr/bin/python3
"""lastword in the cluster of `cluster.py up`, for people to look at.

demo.py install   images on the node, lastword from manifests/overlays/self-signed
demo.py story     an agent fails in a pod that stays Running, and what lastword makes of it"""
import os
import pathlib
import subprocess
import sys

import kube
import product

NAMESPACE = "lastword-demo"
FOLDER = product.MANIFESTS / "overlays/demo"
EXAMPLE = "docker.io/library/busybox:1.36"  # of FOLDER; on this node it is the tests' own
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def install(cluster):
    product.import_images()
    product.name_images({product.AGENT: EXAMPLE})
    product.apply(cluster)
    for name in ("lastword-webhook", "lastword-observer"):
        product.wait_available(cluster, name)
    print("lastword runs in the namespace lastword-system; make cluster-demo shows what it does")


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def show(*command):
    print("$", *command, flush=True)
    environment = {**os.environ, "PATH": f"{product.BUILD / 'bin'}:{os.environ['PATH']}",
                   "COLUMNS": "110"}
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)


def wait_called(cluster):
    """The API server calls the webhook: a dry run of the demo's namespace comes back injected."""
    product.wait_injecting(cluster, NAMESPACE)


def records(cluster):
    return cluster.get(f"/apis/lastword.dev/v1alpha1/namespaces/{NAMESPACE}/agentexits")["items"]


def is_silent(record):
    return any(one["type"] == "Silent" and one["status"] == "True"
               for one in record.get("status", {}).get("conditions", []))


def story(cluster):
    folder = str(FOLDER.relative_to(pathlib.Path.cwd()))
    cluster.kubectl("delete", "namespace", "--ignore-not-found", NAMESPACE)
    cluster.kubectl("apply", "-f", str(FOLDER / "namespace.yaml"))
    kube.wait_until(lambda: cluster.find(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"),
                    "the namespace's ServiceAccount")
    wait_called(cluster)
    say("An agent starts: a Job whose sidecar never looks at the agent")
    show("kubectl", "apply", "-k", folder)
    kube.wait_until(lambda: cluster.get(PODS)["items"], "the Job's pod")
    pod = kube.KubernetesPod(cluster, cluster.get(PODS)["items"][0])
    pod.wait_end("main")
    kube.wait_until(lambda: any(map(is_silent, records(cluster))), "the record has the condition Silent")
    say("It has failed. For Kubernetes the pod is Running, and the Job is active")
    show("kubectl", "get", "pods,jobs", "-n", NAMESPACE, "-o", "custom-columns="
         "KIND:.kind,NAME:.metadata.name,PHASE:.status.phase,ACTIVE:.status.active")
    say("The Events of lastword on the pod and on the Job")
    show("kubectl", "get", "events", "-n", NAMESPACE, "--field-selector",
         "type=Warning,reason!=MissingClusterDNS", "-o",
         "custom-columns=REASON:.reason,OBJECT:.involvedObject.kind,MESSAGE:.message")
    say("Which agents failed")
    show("lastword", "exits", "-n", NAMESPACE)
    say("Why")
    show("lastword", "why", "-n", NAMESPACE, pod.name)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def main():
    commands = {"install": install, "story": story}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    cluster = kube.Cluster(os.environ["KUBECONFIG"])
    try:
        commands[sys.argv[1]](cluster)
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
