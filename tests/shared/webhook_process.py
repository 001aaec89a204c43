"""Starts the real lastword-webhook on loopback with its own certificates, and sends it requests."""
import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import urllib.request

from certificate import Certificate
from waiting import HANG, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build"))


class Webhook:
    def __init__(self, folder, config, certificate=None, arguments=(), preexec_fn=None,
                 build=BUILD):
        self.folder = folder
        self.certificate = certificate or Certificate()
        self.config_file = folder / "config.yaml"
        self.config_file.write_text(config)
        self.write_certificate(self.certificate)
        self.log_file = folder / "log"
        self.connection = None
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [build / "bin/lastword-webhook", "--config", self.config_file,
                 "--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key",
                 "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--drain", "0s",
                 *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=preexec_fn)
        listening = wait_until(self._listening, "the webhook to listen")
        self.port = int(listening["webhook"].rsplit(":", 1)[1])
        self.metrics_port = int(listening["metrics"].rsplit(":", 1)[1])

    def _listening(self):
        assert self.process.poll() is None, self.log_file.read_text()
        found = self.lines("listening")
        return found[0] if found else None

    def lines(self, message=None):
        """The log's complete lines, parsed: each must be JSON."""
        text = self.log_file.read_text()
        lines = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if message in (None, line["message"])]

    def write_certificate(self, certificate):
        """As kubelet does it would be a symlink swap; writing in place is the harder case."""
        (self.folder / "tls.crt").write_text(certificate.chain)
        (self.folder / "tls.key").write_text(certificate.key)
        self.certificate = certificate

    def tls_context(self, certificate=None):
        return ssl.create_default_context(cadata=(certificate or self.certificate).chain)

    def connect(self, certificate=None):
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=HANG, context=self.tls_context(certificate))
        connection.connect()
        return connection

    def request(self, method, path, body=None, headers=None, connection=None):
        """Uses one connection that stays open, unless another is given."""
        if connection is None:
            if self.connection is None:
                wait_until(lambda: self.ready()[0] == 200, "readiness")
                self.connection = self.connect()
            connection = self.connection
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
        if response.will_close:
            connection.close()
        return response.status, dict(response.getheaders()), content

    def post(self, path, body, content_type="application/json", connection=None):
        return self.request("POST", path, body, {"Content-Type": content_type}, connection)

    def plain(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}",
                                        timeout=HANG) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ready(self):
        return self.plain("/readyz")

    def metric(self, sample):
        """A sample's value: metric('lastword_config_reloads_total{result="failure"}')"""
        for line in self.plain("/metrics")[1].splitlines():
            if line.startswith(sample + " "):
                return float(line.split()[-1])
        raise AssertionError(f"no sample {sample}")

    def memory_kib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Stops it and checks that it exits cleanly: no sanitizer report, no leak, status 0."""
        if self.connection is not None:
            self.connection.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(HANG)
        assert status == 0, f"exit {status}\n{self.log_file.read_text()[-4000:]}"
