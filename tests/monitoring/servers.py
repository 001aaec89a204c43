"""Prometheus and Alertmanager as Debian packages them, on loopback, and who is notified by them."""
import http.server
import json
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import yaml
from waiting import HANG, wait_until


class Server:
    """A program that logs the address it listens on: the kernel chooses the port."""

    def __init__(self, folder, *command, host="127.0.0.1"):
        self.host = re.escape(host)
        self.log_file = folder / "log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--web.listen-address={host}:0"], cwd=folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.address = wait_until(self._listening, lambda: self.log_file.read_text()[-4000:])
        wait_until(lambda: self.get("/-/ready", plain=True), lambda: self.log_file.read_text()[-4000:])

    def _listening(self):
        text = self.log_file.read_text()
        assert self.process.poll() is None, text[-4000:]
        found = re.search(rf'msg="Listening on" address=({self.host}:[1-9]\d*)', text)
        return found and found.group(1)

    def get(self, path, plain=False, **query):
        url = f"http://{self.address}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=HANG) as response:
                return response.read().decode() if plain else json.load(response)
        except urllib.error.HTTPError as error:
            assert plain, f"{query}: {error.read().decode()}"
            return None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(HANG)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(HANG)


class Prometheus(Server):
    def __init__(self, folder):
        super().__init__(folder, "prometheus", "--config.file=prometheus.yml",
                         "--storage.tsdb.path=data")

    def query(self, expression):
        """[(labels, value)]"""
        reply = self.get("/api/v1/query", query=expression)
        assert reply["status"] == "success", (expression, reply)
        assert "warnings" not in reply, (expression, reply)
        data = reply["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def firing(self, name):
        """The labels of the alerts of that name that fire."""
        return [alert["labels"] for alert in self.get("/api/v1/alerts")["data"]["alerts"]
                if alert["labels"]["alertname"] == name and alert["state"] == "firing"]


class Alertmanager(Server):
    """Notifies url of each alert at once, grouped by name and namespace, and of its resolution."""

    def __init__(self, folder, url, host="127.0.0.1"):
        (folder / "alertmanager.yml").write_text(yaml.safe_dump({
            "route": {"receiver": "test", "group_by": ["alertname", "namespace"],
                      "group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "test",
                           "webhook_configs": [{"url": url, "send_resolved": True}]}],
        }))
        super().__init__(folder, "prometheus-alertmanager", "--config.file=alertmanager.yml",
                         "--storage.path=data", "--cluster.listen-address=", host=host)


class Notified:
    """Keeps what a webhook receiver is sent, and responds with that status."""

    def __init__(self, status=200):
        messages = self.messages = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def about(self, name):
        """The messages about the alert of that name, in their order."""
        return [m for m in list(self.messages) if m["groupLabels"].get("alertname") == name]

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
