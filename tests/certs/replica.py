"""One replica of the real webhook that makes its certificates itself."""
import os
import socket
import ssl
import subprocess

from pki import HOST, load
from waiting import HANG, wait_until
from webhook_process import BUILD, ROOT, Webhook

LONG = ("--cert-lifetime", "1h", "--ca-lifetime", "24h")


class Replica(Webhook):
    def __init__(self, folder, api, arguments=(), environment=None):
        self.folder = folder
        self.api = api
        self.connection = None
        config = folder / "config.yaml"
        config.write_text((ROOT / "tests/data/config/reviews.yaml").read_text().replace("MODE", "classic"))
        self.log_file = folder / "log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [BUILD / "bin/lastword-webhook", "--config", config, "--certs", "self",
                 "--service", "lastword-webhook", "--namespace", "lastword-system",
                 "--webhook-config", "lastword", "--secret", "lastword-webhook-tls",
                 "--service-account-dir", api.account, "--listen", "127.0.0.1:0",
                 "--metrics", "127.0.0.1:0", "--kube-version", "1.36", "--drain", "0s", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **api.environment, **(environment or {})})
        listening = wait_until(self._listening, "the webhook to listen")
        self.port = int(listening["webhook"].rsplit(":", 1)[1])
        self.metrics_port = int(listening["metrics"].rsplit(":", 1)[1])

    def dial(self, bundle):
        """A new TLS connection of a client that trusts nothing but the bundle, as the API server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=bundle)
        plain = socket.create_connection(("127.0.0.1", self.port), HANG)
        try:
            return context.wrap_socket(plain, server_hostname=HOST)
        except BaseException:
            plain.close()
            raise

    def served(self):
        """The certificate that it serves; None when it serves none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.port), HANG) as plain:
                with context.wrap_socket(plain) as tls:
                    return load(ssl.DER_cert_to_PEM_cert(tls.getpeercert(True)))[0]
        except (ssl.SSLError, ConnectionError):
            return None

    def wait_ready(self):
        wait_until(lambda: self.ready() == (200, "ok\n"), "readiness")
        return self
