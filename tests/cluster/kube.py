"""The cluster as the scenarios see it: the API through kubectl (its proxy: whatever way the
kubeconfig logs in), and pods with what is known of their ends."""
import functools
import http.client
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.parse

import waiting

HANG = 120  # seconds; a bound on hanging, not a measure
OUR_CONTAINER = "lastword-watchdog"
wait_until = functools.partial(waiting.wait_until, seconds=HANG)

class Refused(Exception):
    """A response of the API server that is not 2xx."""

    def __init__(self, code, body):
        super().__init__(f"{code}: {body}")
        self.code = code
        self.body = body


class Cluster:
    def __init__(self, kubeconfig):
        self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        self.proxy = subprocess.Popen(
            ["kubectl", "proxy", "--port=0"], env=self.environment, stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL, text=True)
        self.port = int(self.proxy.stdout.readline().rsplit(":", 1)[1])
        version = self.get("/version")
        self.version = (int(version["major"]), int(re.match(r"\d+", version["minor"]).group()))
        self.version_text = version["gitVersion"]

    def close(self):
        self.proxy.terminate()
        self.proxy.wait()

    def kubectl(self, *arguments, text=None, check=True):
        # A kubelet of 1.20 looks for pods that are gone once a minute only, and the controller of
        # namespaces waits ever longer for them.
        limit = 4 * HANG if arguments[0] == "delete" else HANG
        done = subprocess.run(["kubectl", *arguments], env=self.environment, input=text,
                              capture_output=True, text=True, timeout=limit)
        assert not check or done.returncode == 0, f"kubectl {arguments}: {done.stderr}"
        return done.stdout

    def connect(self, timeout=HANG):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, path, body=None, content_type="application/json"):
        """Retries after 429, as client-go does."""
        end = time.monotonic() + HANG
        while True:
            try:
                return self.call_once(method, path, body, content_type)
            except Refused as refused:
                if refused.code != 429 or time.monotonic() > end:
                    raise
                time.sleep(1)

    def call_once(self, method, path, body, content_type):
        connection = self.connect()
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": content_type})
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise Refused(response.status, data.decode(errors="replace"))
        kind = response.headers.get("Content-Type", "")
        return json.loads(data) if "json" in kind else data.decode(errors="replace")

    def get(self, path):
        return self.call("GET", path)

    def find(self, path):
        """As get(); None when the object does not exist."""
        try:
            return self.get(path)
        except Refused as refused:
            if refused.code == 404:
                return None
            raise

    def create(self, path, body):
        return self.call("POST", path, body)

    def patch(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path, grace=None):
        options = {} if grace is None else {"gracePeriodSeconds": grace}
        try:
            return self.call("DELETE", path, options)
        except Refused as refused:
            if refused.code != 404:
                raise
            return None

    def watch(self, path, stop, on_event):
        """Calls on_event(type, object) from a thread of its own until stop() is true."""
        def follow():
            while not stop():
                connection = self.connect(timeout=5)
                try:
                    connection.request("GET", path)
                    response = connection.getresponse()
                    if response.status != 200:
                        return
                    for line in response:
                        event = json.loads(line)
                        on_event(event["type"], event["object"])
                        if stop():
                            return
                except (OSError, ValueError, http.client.HTTPException):
                    time.sleep(0.05)  # idle for too long, or cut: again
                finally:
                    connection.close()
        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        return thread

    # ---- Namespaces ----

    def make_namespace(self, name, labels=None):
        self.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                           "metadata": {"name": name, "labels": labels or {}}})
        def complete():
            account = self.find(f"/api/v1/namespaces/{name}/serviceaccounts/default")
            # Before 1.24 no pod was admitted until the account had a Secret with its token.
            return account and (self.version >= (1, 24) or account.get("secrets"))
        wait_until(complete, f"the ServiceAccount of {name}")


def records(cluster, namespace, uid):
    """The AgentExits of a pod."""
    found = cluster.get(f"/apis/lastword.dev/v1alpha1/namespaces/{namespace}/agentexits")
    return [item for item in found["items"] if item["spec"]["uid"] == uid]


def status_of(pod, container):
    """A container's status in a Pod object, of any kind of container; {} when there is none."""
    status = pod.get("status", {})
    for key in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(key) or []:
            if entry["name"] == container:
                return entry
    return {}


def parse_lines(text):
    """The watchdog's reports; a line that is not JSON is an error."""
    return [json.loads(line) for line in text.splitlines() if line]


class KubernetesPod:
    """An existing pod. It is watched from the start and its logs are followed, so that what the kubelet
    and the watchdog reported is known after its deletion."""

    def __init__(self, cluster, pod):
        self.cluster = cluster
        self.name = pod["metadata"]["name"]
        self.namespace = pod["metadata"]["namespace"]
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.pod = pod
        self.created = time.monotonic()
        self.gone = threading.Event()
        self.injected = pod["metadata"].get("labels", {}).get("lastword.dev/injected") == "true"
        self.native = any(c["name"] == OUR_CONTAINER
                          for c in pod["spec"].get("initContainers") or [])
        self.logs = {}
        version = pod["metadata"]["resourceVersion"]
        selector = urllib.parse.quote(f"metadata.name={self.name}")
        cluster.watch(f"/api/v1/namespaces/{self.namespace}/pods?watch=1&resourceVersion={version}"
                      f"&fieldSelector={selector}", self.gone.is_set, self._on_event)

    def _on_event(self, kind, pod):
        if kind not in ("ADDED", "MODIFIED", "DELETED") or \
                pod["metadata"]["uid"] != self.pod["metadata"]["uid"]:
            return
        self.pod = pod
        if kind == "DELETED":
            self.gone.set()

    def manifest_label(self, key):
        return self.pod["metadata"]["labels"][key]

    def state(self, container):
        return status_of(self.pod, container)

    def wait_status(self, condition, what):
        return wait_until(lambda: condition(self.pod),
                          lambda: f"{what}: {json.dumps(self.pod.get('status'))[:3000]}")

    def log(self, container="main", previous=False):
        try:
            return self.cluster.get(f"{self.path}/log?container={container}"
                                    + ("&previous=true" if previous else ""))
        except Refused:
            return ""

    def wait_ready(self, container="main", text="ready\n"):
        wait_until(lambda: text in self.log(container),
                   lambda: f"{text!r} from {container}: {self.log(container)!r} "
                           f"{json.dumps(self.pod.get('status'))[:3000]}")

    def wait_end(self, container="main"):
        """(code, reason) of the container's end, for a container that is not started again."""
        self.wait_status(lambda _: "terminated" in self.state(container).get("state", {}),
                         f"{container} ends")
        end = self.state(container)["state"]["terminated"]
        return end["exitCode"], end.get("reason")

    def wait_last_end(self, container="main", count=1):
        """The same of one that is started again: of its run before."""
        self.wait_status(lambda _: self.state(container).get("restartCount", 0) >= count
                         and "terminated" in self.state(container).get("lastState", {}),
                         f"{container} ends and starts again")
        end = self.state(container)["lastState"]["terminated"]
        return end["exitCode"], end.get("reason")

    def running(self, container):
        return "running" in self.state(container).get("state", {})

    def wait_phase(self, *phases):
        self.wait_status(lambda pod: pod["status"].get("phase") in phases, f"phase {phases}")

    @property
    def phase(self):
        return self.pod["status"].get("phase")

    def lines(self):
        followed = self.logs.get(OUR_CONTAINER)
        return parse_lines(followed.text() if followed else self.log(OUR_CONTAINER))

    def wait_line(self, event, count=1):
        def found():
            return [line for line in self.lines() if line["event"] == event]
        wait_until(lambda: len(found()) >= count, lambda: f"{event}: {self.lines()}")
        return found()[count - 1]

    def pids(self, container="main"):
        """Its processes on the node, the container's process 1 first."""
        # The log may be there before the status says so.
        self.wait_status(lambda _: self.running(container), f"{container} runs")
        ident = self.state(container)["containerID"].rsplit("/", 1)[1]
        found = {}
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                if ident in (status.parent / "cgroup").read_text():
                    nested = re.search(r"^NSpid:\s*(.*)$", status.read_text(), re.M).group(1)
                    found[int(status.parent.name)] = int(nested.split()[-1])
            except OSError:
                continue
        return sorted(found, key=found.get)

    def follow(self, *containers):
        for container in containers:
            self.logs[container] = Follower(self, container)

    def delete(self, grace=None):
        """Waits until it is deleted. Returns {container: exit code} from the last object, and how
        long the deletion took."""
        if self.injected:
            self.follow(OUR_CONTAINER)
        self.follow("main")
        start = time.monotonic()
        self.cluster.delete(self.path, grace)
        assert self.gone.wait(HANG), f"not deleted: {json.dumps(self.pod)[:3000]}"
        seconds = time.monotonic() - start
        for follower in self.logs.values():
            follower.thread.join(10)
        codes = {}
        for key in ("containerStatuses", "initContainerStatuses"):
            for entry in self.pod["status"].get(key) or []:
                end = entry["state"].get("terminated")
                codes[entry["name"]] = end["exitCode"] if end else None
        return codes, seconds

    def output(self, container="main"):
        """The container's output, also after the pod's deletion."""
        follower = self.logs.get(container)
        return follower.text() if follower else self.log(container)

    def pid(self, container="main"):
        return self.pids(container)[0]

    def kill_shim(self):
        waiting.wait_for_ring(self.pid(OUR_CONTAINER))
        os.kill(self.pid(), 9)

    def stamps(self, container="main"):
        """When the runtime got each line of its output."""
        try:
            text = self.cluster.get(f"{self.path}/log?container={container}&timestamps=true")
        except Refused:
            return []
        return [line.split(" ", 1)[0] for line in text.splitlines() if line]

    def remove(self):
        if not self.gone.is_set():
            self.cluster.delete(self.path, 0)


class Follower:
    """A container's log, followed to its end."""

    def __init__(self, pod, container):
        self.chunks = []
        self.pod = pod
        self.container = container
        self.opened = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()
        self.opened.wait(10)

    def _follow(self):
        connection = self.pod.cluster.connect()
        try:
            connection.request(
                "GET", f"{self.pod.path}/log?follow=true&container={self.container}")
            response = connection.getresponse()
            self.opened.set()
            if response.status != 200:
                return
            while True:
                chunk = response.read1(65536)
                if not chunk:
                    return
                self.chunks.append(chunk)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            self.opened.set()
            connection.close()

    def text(self):
        """Without the error that the kubelet sends when the container was removed before its log was
        read."""
        text = b"".join(self.chunks).decode(errors="replace")
        return re.sub(r"rpc error: code = NotFound desc = [^\n]*\n?\Z", "", text)
