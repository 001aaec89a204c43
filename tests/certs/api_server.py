"""The part of a Kubernetes API server that the certificate manager needs: one Secret, one
MutatingWebhookConfiguration and Events, over TLS, with resource versions and conflicts like the real
one, and faults on demand."""
import base64
import copy
import json
import threading
import time

import jsonpatch

from account_server import AccountServer, Quiet
from pki import SelfSigned

SECRETS = "/api/v1/namespaces/lastword-system/secrets"
SECRET = SECRETS + "/lastword-webhook-tls"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lastword"
EVENTS = "/api/v1/namespaces/lastword-system/events"


def configuration(bundle=None, webhooks=2):
    """It has more fields than ours, so that a change to any of them shows."""
    client = {"service": {"name": "lastword-webhook", "namespace": "lastword-system",
                          "path": "/mutate", "port": 443}}
    if bundle is not None:
        client["caBundle"] = base64.b64encode(bundle.encode()).decode()
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "lastword", "labels": {"app": "x"}, "annotations": {"note": "y"},
                     "generation": 3},
        "webhooks": [{
            "name": f"pods{i or ''}.lastword.dev", "clientConfig": copy.deepcopy(client),
            "failurePolicy": "Ignore", "timeoutSeconds": 3, "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                       "resources": ["pods"], "scope": "Namespaced"}]} for i in range(webhooks)]}


def merge(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


class Refused(Exception):
    def __init__(self, code, reason, message="refused"):
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


class ApiServer(AccountServer):
    def __init__(self, folder):
        self.bundles_file = folder / "bundles"
        self.lock = threading.RLock()
        self.version = 100
        self.objects = {}
        self.events = []
        self.requests = []  # (method, path, status)
        self.bundles = []   # (monotonic time, PEM of the first webhook), each one that was written
        self.fault = None   # fault(method, path, number): None, "drop", "garbage", or (status, reason)
        self.date = None    # seconds to add to the clock
        outer = self

        class Handler(Quiet):
            disable_nagle_algorithm = True

            def handle_any(self):
                outer.handle(self)
            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

            def date_time_string(self, timestamp=None):
                return super().date_time_string(time.time() + (outer.date or 0))

        super().__init__(folder, Handler, SelfSigned("localhost"))

    # ---- What the tests do to it ----

    def put(self, path, value):
        """As kubectl would; None deletes."""
        with self.lock:
            if value is None:
                self.objects.pop(path, None)
            else:
                self._store(path, copy.deepcopy(value))

    def get(self, path):
        with self.lock:
            return copy.deepcopy(self.objects.get(path))

    def change(self, path, change):
        """change(object) edits it in place."""
        with self.lock:
            value = copy.deepcopy(self.objects[path])
            change(value)
            self._store(path, value)

    def data(self, key):
        """Of the Secret, decoded; "" where it is not."""
        value = ((self.get(SECRET) or {}).get("data") or {}).get(key)
        try:
            return base64.b64decode(value or "").decode()
        except ValueError:
            return ""

    def bundle(self, webhook=0):
        webhooks = (self.get(CONFIGURATION) or {}).get("webhooks") or []
        if not webhooks:
            return ""
        return base64.b64decode(webhooks[webhook]["clientConfig"].get("caBundle", "")).decode()

    # ---- What it does ----

    def _store(self, path, value):
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = value
        if path == CONFIGURATION:
            self.bundles.append((time.monotonic(), self.bundle()))
            with open(self.bundles_file, "a") as file:
                file.write(json.dumps(self.bundles[-1]) + "\n")
        return value

    def handle(self, request):
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        with self.lock:
            fault = self.fault and self.fault(request.command, request.path, len(self.requests))
            if isinstance(fault, tuple) or fault is None:
                status, response = self.response(request, body, fault)
            else:
                status, response = 0, None
            self.requests.append((request.command, request.path, status))
        if fault == "drop":
            request.close_connection = True
            request.connection.close()
            return
        content = b"{\"kind\": \"Sec" if fault == "garbage" else json.dumps(response).encode()
        request.send_response(status or 200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def response(self, request, body, fault):
        try:
            if request.headers.get("Authorization") != "Bearer the-token":
                raise Refused(401, "Unauthorized")
            if fault:
                raise Refused(*fault)
            return self.serve(request.command, request.path, request.headers, body)
        except Refused as refused:
            return refused.code, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                                  "reason": refused.reason, "message": refused.message,
                                  "code": refused.code}

    def serve(self, method, path, headers, body):
        if method == "GET" and path == "/version":
            return 200, {"major": "1", "gitVersion": "v1.36.2"}
        if method == "POST" and path == EVENTS:
            self.events.append(json.loads(body))
            return 201, self.events[-1]
        if method == "POST" and path == SECRETS:
            if SECRET in self.objects:
                raise Refused(409, "AlreadyExists")
            return 201, self._store(SECRET, self.validate(json.loads(body)))
        if path not in (SECRET, CONFIGURATION) or path not in self.objects:
            raise Refused(404, "NotFound", f"{path} not found")
        if method == "PATCH":
            return 200, self._store(path, self.patch(path, headers["Content-Type"], body))
        if method != "GET":
            raise Refused(405, "MethodNotAllowed")
        return 200, self.objects[path]

    def patch(self, path, kind, body):
        value = copy.deepcopy(self.objects[path])
        if kind == "application/json-patch+json":
            try:
                return jsonpatch.apply_patch(value, json.loads(body))
            except jsonpatch.JsonPatchException as problem:
                raise Refused(422, "Invalid", str(problem))
        if kind != "application/merge-patch+json":
            raise Refused(415, "UnsupportedMediaType")
        patch = json.loads(body)
        wanted = patch.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != value["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict")
        return self.validate(merge(value, patch))

    def validate(self, secret):
        if secret.get("type") == "kubernetes.io/tls" and not (
                {"tls.crt", "tls.key"} <= set(secret.get("data") or {})):
            raise Refused(422, "Invalid", "data[tls.crt]: Required value")
        for value in (secret.get("data") or {}).values():
            base64.b64decode(value, validate=True)
        return secret
