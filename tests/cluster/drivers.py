"""Two ways to live for the same pod: in the cluster, made through the API and admitted by the
product; and in cri_pod.py, changed by `lastword inject` as the webhook of a current Kubernetes would.
Both give pods of one shape, so that a scenario need not know where it plays."""
import concurrent.futures
import copy
import json
import os
import subprocess
import time

import agents
import kube
import cri_pod
import waiting

INJECTED = "agents"  # namespaces: with the opt-in label, and without
PLAIN = "plain"


class KubernetesDriver:
    """name says which sidecar mode the product chose there."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.native = cluster.version >= (1, 32)
        self.pods = []

    def make(self, manifest, wrapped=True):
        namespace = INJECTED if wrapped else PLAIN
        manifest = copy.deepcopy(manifest)
        manifest["metadata"]["namespace"] = namespace
        pod = kube.KubernetesPod(self.cluster, self.cluster.create(
            f"/api/v1/namespaces/{namespace}/pods", manifest))
        self.pods.append(pod)
        assert pod.injected == wrapped, json.dumps(pod.pod["metadata"])
        return pod

    def records(self, pod):
        """The AgentExits of a pod."""
        return [record["spec"] for record in
                kube.records(self.cluster, pod.namespace, pod.pod["metadata"]["uid"])]

    def check_record(self, pod, **expected):
        """Checks that the pod has exactly one record, and its content."""
        kube.wait_until(lambda: self.records(pod), f"the record of {pod.name}")
        record, *more = self.records(pod)
        assert more == [] and record["pod"] == pod.name
        assert {key: record.get(key) for key in expected} == expected

    def check_no_record(self, *pods):
        """Checks that a termination has no record: when a later failure has its record, the observer has
        seen this one too."""
        later = self.make(agents.pod(agents.container("exit 77")))
        self.check_record(later, exitCode=77)
        assert [self.records(pod) for pod in pods] == [[] for _ in pods]

    def clean(self):
        for pod in self.pods:
            pod.remove()
        for pod in self.pods:
            pod.gone.wait(kube.HANG)
        self.pods = []


class CriDriver:
    native = True

    def __init__(self, program, config, cgroup):
        self.program = program
        self.config = config
        self.cgroup = cgroup
        self.runtime = cri_pod.Runtime()
        self.pods = []

    def make(self, manifest, wrapped=True):
        manifest = copy.deepcopy(manifest)
        manifest["metadata"]["namespace"] = INJECTED if wrapped else PLAIN
        if wrapped:
            manifest = json.loads(subprocess.run(
                [self.program, "inject", "-c", self.config, "--kube-version", "1.36", "-o", "json",
                 "-f", "-"], input=json.dumps(manifest), capture_output=True, text=True,
                check=True).stdout)
        pod = InjectedCriPod(cri_pod.Pod(self.runtime, manifest, self.cgroup))
        self.pods.append(pod)
        assert pod.injected == wrapped
        return pod

    def check_record(self, pod, **expected):
        """There is no observer here; the scenario checks what an observer would read."""

    def check_no_record(self, *pods):
        """As check_record."""

    def clean(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(InjectedCriPod.remove, self.pods))
        self.pods = []


class InjectedCriPod:
    """cri_pod.Pod with the interface of kube.KubernetesPod."""
    native = True

    def __init__(self, pod):
        self.living = pod
        self.created = time.monotonic()
        self.name = pod.manifest["metadata"]["name"]
        self.injected = (pod.manifest["metadata"].get("labels") or {}).get(
            "lastword.dev/injected") == "true"
        self.removed = False
        pod.thread.start()

    def manifest_label(self, key):
        return self.living.manifest["metadata"]["labels"][key]

    def wait(self, condition, what):
        def checked():
            value = condition()
            if not value and self.living.failure:
                raise self.living.failure
            return value
        return kube.wait_until(checked, lambda: f"{what}: " + str(
            {name: (c.starts, c.terminations, c.log()[-500:])
             for name, c in self.living.containers.items()}))

    def container(self, name):
        return self.living.containers[name]

    def log(self, container="main", previous=False):
        return self.container(container).log()

    output = log

    def stamps(self, container="main"):
        return self.container(container).stamps()

    def wait_ready(self, container="main", text="ready\n"):
        self.wait(lambda: text in self.log(container), f"{text!r} from {container}")

    def wait_end(self, container="main"):
        self.wait(lambda: self.container(container).terminations, f"{container} ends")
        return self.container(container).terminations[-1]

    def wait_last_end(self, container="main", count=1):
        self.wait(lambda: len(self.container(container).terminations) >= count, f"{container} ends")
        return self.container(container).terminations[count - 1]

    def running(self, container):
        found = self.container(container)
        return found.id is not None and found.ended() is None

    @property
    def phase(self):
        if not self.living.over.is_set():
            return "Running"
        codes = [c.terminations[-1][0] for c in self.living.mains if c.terminations]
        good = len(codes) == len(self.living.mains) and not any(codes)
        return "Succeeded" if good else "Failed"

    def wait_phase(self, *phases):
        self.wait(lambda: self.phase in phases, f"phase {phases}")

    def lines(self):
        return kube.parse_lines(self.log(kube.OUR_CONTAINER))

    def wait_line(self, event, count=1):
        def found():
            return [line for line in self.lines() if line["event"] == event]
        self.wait(lambda: len(found()) >= count, f"{event}")
        return found()[count - 1]

    def pid(self, container="main"):
        return self.container(container).pid()

    def kill_shim(self):
        waiting.wait_for_ring(self.pid(kube.OUR_CONTAINER))
        os.kill(self.pid(), 9)

    def delete(self, grace=None):
        if grace is not None:
            self.living.grace = grace
        start = time.monotonic()
        self.living.deletion.set()
        assert self.living.over.wait(kube.HANG), "not deleted"
        if self.living.failure:
            raise self.living.failure
        seconds = time.monotonic() - start
        return {name: c.terminations[-1][0] if c.terminations else None
                for name, c in self.living.containers.items()}, seconds

    def remove(self):
        if not self.removed:
            self.removed = True
            if not self.living.deletion.is_set():
                self.living.grace = 0
            self.living.remove()
