"""A small cluster that answers the real lastword-observer over TLS: pods that a recorded stream makes,
logs, records, Events, the Lease. Loopback only."""
import datetime
import json
import os
import re
import signal
import subprocess
import threading
import urllib.request

from api_server import ApiServer
from injected import BUILD
from waiting import HANG, wait_until


class Cluster:
    def __init__(self, folder, events, lines=()):
        self.lock = threading.Condition()
        self.events = events
        self.lines = lines
        self.applied = 0       # events that have happened
        self.seen = 0          # how many of them were sent, or were in a list
        self.records = {}      # path: object
        self.statuses = {}     # path: status
        self.event_objects = {}
        self.lease = None
        self.version = 1
        self.deleted = []
        self.requests = []
        self.breaker = {"metadata": {"resourceVersion": "1"}}  # its ConfigMap
        self.kubelet = None    # called with a pod that was changed; returns it as it becomes
        self.failed_creates = []  # Events, in their order
        self.namespaces = []   # (event type, name) of those that are opted in, in their order
        self.refuse = {}       # method and part of a path: (code, reason)
        self.trouble = None    # called with a watch's request and place; True: it was dealt with
        self.server = ApiServer(folder, self.respond)

    def stop(self):
        with self.lock:
            self.applied = -1
            self.lock.notify_all()
        self.server.stop()

    def advance(self, count):
        with self.lock:
            self.applied = count
            self.lock.notify_all()

    def opt_in(self, namespace, kind="ADDED"):
        """kind DELETED: out again."""
        with self.lock:
            self.namespaces.append((kind, namespace))
            self.lock.notify_all()

    def see(self, place):
        with self.lock:
            self.seen = max(self.seen, place)
            self.lock.notify_all()

    def wait_seen(self, place):
        with self.lock:
            assert self.lock.wait_for(lambda: self.seen >= place, HANG)

    # ---- answers ----

    def respond(self, request):
        path, _, query = request.path.partition("?")
        with self.lock:
            self.requests.append((request.command, request.path))
            refused = [v for k, v in self.refuse.items()
                       if k[0] == request.command and k[1] in request.path]
        if refused:
            request.send_status(*refused[0], "refused by the test")
        elif path == "/api/v1/pods" and "watch=1" in query:
            self.watch(request, int(re.search(r"resourceVersion=(\d+)", query).group(1)))
        elif path == "/api/v1/pods":
            self.list(request)
        elif path == "/api/v1/namespaces" and "watch=1" in query:
            self.watch_namespaces(request, int(re.search(r"resourceVersion=(\d+)", query).group(1)))
        elif path == "/api/v1/namespaces":
            assert "labelSelector=lastword.dev%2Finject%3Denabled" in query
            self.list_namespaces(request)
        elif self.kubelet and re.fullmatch(r"/api/v1/namespaces/[^/]+/pods/[^/]+", path):
            self.respond_with_pod(request, path)
        elif re.fullmatch("/api/v1/namespaces/[^/]*/pods/[^/]*", path):
            self.read_pod(request, path.rsplit("/", 1)[1])
        elif path.endswith("/log"):
            self.log(request, path, query)
        elif "/leases" in path:
            self.respond_with_lease(request)
        elif path.endswith("/configmaps/lastword-breaker"):
            self.respond_with_breaker(request)
        elif path.endswith("/events") and request.command == "GET":
            assert "fieldSelector=reason%3DFailedCreate" in query
            self.respond_with_failed_creates(request, query)
        elif path.endswith("/events"):
            self.create(request, self.event_objects, path)
        elif request.command == "POST":
            self.create(request, self.records, path)
        elif request.command == "PATCH":
            path = path.removesuffix("/status")
            status = self.statuses.setdefault(path, {})
            status.update(json.loads(request.content)["status"])
            request.send(200, self.record(path) if path in self.records else {})
        elif path in self.records:
            request.send(200, self.record(path))
        elif path.endswith("/agentexits"):
            self.list_records(request, query)
        else:
            request.send_status(404, "NotFound", path)

    def record(self, path):
        return self.records[path] | {"status": self.statuses.get(path, {})}

    def list_records(self, request, query):
        wanted = re.search(r"identity%3D([0-9a-f]+)", query)
        request.send(200, {"metadata": {}, "items": [
            self.record(path) for path, record in list(self.records.items())
            if not wanted or
            record["metadata"]["labels"]["lastword.dev/identity"] == wanted.group(1)]})

    def create(self, request, store, path):
        body = json.loads(request.content)
        body["metadata"]["creationTimestamp"] = datetime.datetime.utcnow().strftime(
            "%Y-%m-%dT%H:%M:%SZ")
        path = f"{path}/{body['metadata']['name']}"
        with self.lock:
            there = path in store
            store.setdefault(path, body)
        if there:
            request.send_status(409, "AlreadyExists", path)
        else:
            request.send(201, body)

    def respond_with_lease(self, request):
        body = json.loads(request.content) if request.content else None
        with self.lock:
            if body is None and self.lease is None:
                return request.send_status(404, "NotFound", "no lease")
            if body is not None:
                version = body["metadata"].get("resourceVersion")
                if self.lease is not None and version != str(self.version):
                    return request.send_status(409, "Conflict", "the object has been modified")
                self.version += 1
                self.lease = body
                self.lease["metadata"]["resourceVersion"] = str(self.version)
            return request.send(200, self.lease)

    def respond_with_breaker(self, request):
        with self.lock:
            version = int(self.breaker["metadata"]["resourceVersion"])
            if request.command == "PATCH":
                assert request.headers["Content-Type"] == "application/merge-patch+json"
                body = json.loads(request.content)
                if body["metadata"]["resourceVersion"] != str(version):
                    return request.send_status(409, "Conflict", "the object has been modified")
                self.breaker["data"] = body["data"]
                self.breaker["metadata"]["resourceVersion"] = str(version + 1)
            return request.send(200, self.breaker)

    def respond_with_pod(self, request, path):
        _, _, _, _, namespace, _, name = path.split("/")
        with self.lock:
            pod = next((p for p in self.pods(max(self.applied, 0)).values()
                        if (p["metadata"]["namespace"], p["metadata"]["name"]) == (namespace, name)),
                       None)
            if pod is None:
                return request.send_status(404, "NotFound", path)
            version = str(self.events.index(next(e for e in self.events if e["object"] is pod)))
            pod["metadata"]["resourceVersion"] = version
            if request.command == "PATCH":
                patch = json.loads(request.content)
                assert request.headers["Content-Type"] == "application/merge-patch+json"
                assert set(patch) == {"metadata", "spec"} and patch["metadata"] == {
                    "uid": pod["metadata"]["uid"], "resourceVersion": version}
                pod = self.kubelet(pod | {"spec": pod["spec"] | patch["spec"]})
                self.events.append({"type": "MODIFIED", "object": pod})
                self.applied = len(self.events)
                self.lock.notify_all()
            return request.send(200, pod)

    def breaker_entry(self, namespace):
        with self.lock:
            text = self.breaker.get("data", {}).get("state.json", '{"namespaces": {}}')
            return json.loads(text)["namespaces"].get(namespace)

    def fail_create(self, event):
        with self.lock:
            self.failed_creates.append(event)
            self.lock.notify_all()

    def respond_with_failed_creates(self, request, query):
        with self.lock:
            count = len(self.failed_creates)
        if "watch=1" not in query:
            return request.send(200, {"metadata": {"resourceVersion": str(count)},
                                      "items": self.failed_creates[:count]})
        place = int(re.search(r"resourceVersion=(\d+)", query).group(1))
        request.begin_stream()
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.applied < 0 or place < len(self.failed_creates), HANG)
                if self.applied < 0:
                    return None
                event = self.failed_creates[place]
            place += 1
            event = event | {"metadata": event["metadata"] | {"resourceVersion": str(place)}}
            request.send_chunk(json.dumps({"type": "ADDED", "object": event}).encode() + b"\n")

    def pods(self, count):
        pods = {}
        for event in self.events[:count]:
            uid = event["object"]["metadata"].get("uid")
            if event["type"] == "DELETED":
                pods.pop(uid, None)
            elif uid:
                pods[uid] = event["object"]
        return pods

    def read_pod(self, request, name):
        found = [pod for pod in self.pods(max(self.applied, 0)).values()
                 if pod["metadata"]["name"] == name]
        if found:
            request.send(200, found[0])
        else:
            request.send_status(404, "NotFound", name)

    # Versions are places in the stream.
    def list(self, request):
        with self.lock:
            applied = max(self.applied, 0)
        request.send(200, {"metadata": {"resourceVersion": str(applied)},
                           "items": list(self.pods(applied).values())})
        self.see(applied)

    def watch(self, request, place):
        request.begin_stream()
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.applied < 0 or place < self.applied, HANG)
                if self.applied < 0:
                    return
            if self.trouble and self.trouble(request, place):
                return
            event = self.events[place]
            place += 1
            event = {"type": event["type"], "object": event["object"] | {
                "metadata": event["object"]["metadata"] | {"resourceVersion": str(place)}}}
            request.send_chunk(json.dumps(event).encode() + b"\n")
            self.see(place)

    def list_namespaces(self, request):
        with self.lock:
            count = len(self.namespaces)
            names = {}
            for kind, name in self.namespaces:
                names[name] = kind != "DELETED"
        request.send(200, {"metadata": {"resourceVersion": str(count)},
                           "items": [{"metadata": {"name": n}} for n in names if names[n]]})

    def watch_namespaces(self, request, place):
        request.begin_stream()
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.applied < 0 or place < len(self.namespaces), HANG)
                if self.applied < 0:
                    return
                kind, name = self.namespaces[place]
            place += 1
            request.send_chunk(json.dumps({"type": kind, "object": {"metadata": {
                "name": name, "resourceVersion": str(place)}}}).encode() + b"\n")

    def log(self, request, path, query):
        name = path.split("/")[-2]
        if name not in {p["metadata"]["name"] for p in self.pods(max(self.applied, 0)).values()}:
            request.send_status(404, "NotFound", name)
        elif "container=lastword-watchdog" not in query:
            request.send(200, b"unable to retrieve container logs for containerd://x")
        else:
            lines = [line["line"] for line in self.lines
                     if line["pod"] == name and line["at"] < self.applied]
            request.send(200, "".join(line + "\n" for line in lines).encode())

    def names(self):
        return {path.rsplit("/", 1)[1] for path in list(self.records)}


class Observer:
    def __init__(self, folder, cluster, name, *arguments):
        self.log_file = folder / f"{name}.log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [BUILD / "bin/lastword-observer", "--service-account-dir", str(cluster.server.account),
                 "--metrics", "127.0.0.1:0", "--identity", name, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **cluster.server.environment})
        observing = wait_until(lambda: self.lines("the observer has started"), "the observer to start")
        self.address = observing[0]["metrics"]

    def lines(self, message):
        text = self.log_file.read_text()
        assert self.process.poll() is None or text, "it is gone without a word"
        lines = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()
                 if line.startswith("{")]
        return [line for line in lines if line["message"] == message]

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=HANG) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, sample):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(sample + " "):
                return float(line.split()[-1])
        return None

    def kill(self):
        self.process.kill()
        self.process.wait(HANG)

    def stop(self):
        """It must end well: no sanitizer report, no leak, status 0."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(HANG)
        assert status == 0, f"exit {status}\n{self.log_file.read_text()[-4000:]}"
