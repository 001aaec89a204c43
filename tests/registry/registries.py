"""Registries for the tests: Debian's docker-registry as it is, and a server that misbehaves. All listen
on the loopback address and speak TLS with a certificate of their own."""
import base64
import hashlib
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

import yaml
from certificate import Certificate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LASTWORD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build")) / "bin/lastword"
OCI = "application/vnd.oci.image."
BASE = (ROOT / "manifests/base/config.yaml").read_text()
IMAGES = re.compile(r"^images:\n(?:[ #-].*\n)+", re.M)  # of the shipped configuration
HANG = 60  # seconds after which a program that should have ended hangs


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Tls:
    """A certificate for localhost, as files and as contexts."""

    def __init__(self, folder):
        certificate = Certificate()
        self.chain, self.key = folder / "tls.crt", folder / "tls.key"
        self.chain.write_text(certificate.chain)
        self.key.write_text(certificate.key)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.chain, self.key)
        self.client = ssl.create_default_context(cafile=self.chain)


class Registry:
    """docker-registry, and a client that pushes to it what the tests need."""

    def __init__(self, folder, tls, auth=None, authorization=lambda: None):
        self.tls, self.authorization = tls, authorization
        self.host = f"localhost:{free_port()}"
        config = {
            "version": 0.1, "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
            "http": {"addr": self.host.replace("localhost", "127.0.0.1"),
                     "secret": "of the test",
                     "tls": {"certificate": str(tls.chain), "key": str(tls.key)}},
        }
        if auth:
            config["auth"] = auth
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"],
                                        stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        self.wait()

    def wait(self):
        end = time.monotonic() + HANG
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", int(self.host.split(":")[1])), 1):
                    return
            except OSError:
                assert self.process.poll() is None, "docker-registry ended"
                time.sleep(0.05)
        raise AssertionError("docker-registry does not listen")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def request(self, method, url, body=None, content_type=None):
        if not url.startswith("https://"):
            url = f"https://{self.host}{url}"
        headers = {"Content-Type": content_type} if content_type else {}
        if self.authorization():
            headers["Authorization"] = self.authorization()
        request = urllib.request.Request(url, body, headers, method=method)
        return urllib.request.urlopen(request, context=self.tls.client, timeout=HANG)

    def push_blob(self, path, data):
        with self.request("POST", f"/v2/{path}/blobs/uploads/", b"") as response:
            place = response.headers["Location"]
        place += ("&" if "?" in place else "?") + "digest=" + digest_of(data)
        self.request("PUT", place, data, "application/octet-stream").close()
        return {"digest": digest_of(data), "size": len(data)}

    def push_manifest(self, path, name, manifest):
        body = json.dumps(manifest).encode()
        self.request("PUT", f"/v2/{path}/manifests/{name or digest_of(body)}", body,
                     manifest["mediaType"]).close()
        return {"mediaType": manifest["mediaType"], "digest": digest_of(body), "size": len(body)}

    def push_image(self, path, tag, entrypoint=None, cmd=None, platform=("linux", "amd64")):
        """An image without layers; its descriptor."""
        config = json.dumps({"os": platform[0], "architecture": platform[1],
                             "config": {"Entrypoint": entrypoint, "Cmd": cmd},
                             "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        blob = self.push_blob(path, config)
        return self.push_manifest(path, tag, {
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "layers": [],
            "config": {"mediaType": OCI + "config.v1+json", **blob}})

    def push_index(self, path, tag, images):
        """images: (os, architecture) -> descriptor."""
        return self.push_manifest(path, tag, {
            "schemaVersion": 2, "mediaType": OCI + "index.v1+json",
            "manifests": [{**descriptor, "platform": {"os": os_name, "architecture": architecture}}
                          for (os_name, architecture), descriptor in images.items()]})


class Scripted:
    """A server that answers each path with a function: (handler) -> None."""

    def __init__(self, tls):
        self.responses, self.seen = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = self.path.split("?")[0]
                outer.seen.append((self.command, self.path, self.headers.get("Authorization")))
                length = int(self.headers.get("Content-Length", 0))
                self.form = self.rfile.read(length).decode()
                outer.responses.get(path, not_found)(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = tls.server.wrap_socket(self.server.socket, server_side=True)
        self.host = f"localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,),
                                       daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def reply(status, body=b"", **headers):
    def respond(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    return respond


not_found = reply(404)


def docker_config(folder, registry, **entry):
    if "user" in entry:
        pair = f"{entry.pop('user')}:{entry.pop('password')}".encode()
        entry["auth"] = base64.b64encode(pair).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry: entry}}))
