"""Sidecar mode auto: the API server is asked for its version. A fake one answers here, over TLS,
and insists on the token."""
import json

import pytest

from account_server import AccountServer, Quiet
from certificate import Certificate
from waiting import wait_until

from test_server import CONFIG, record


class ApiServer(AccountServer):
    def __init__(self, folder, version, status=200):
        self.requests = []
        outer = self

        class Handler(Quiet):
            def do_GET(self):
                outer.requests.append((self.path, self.headers["Authorization"]))
                body = version if isinstance(version, bytes) else json.dumps(
                    {"major": "1", "gitVersion": version}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(folder, Handler, Certificate())


@pytest.fixture
def start(start_webhook, tmp_path, monkeypatch):
    servers = []

    def start(version, status=200, more=()):
        server = ApiServer(tmp_path, version, status)
        servers.append(server)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # is not used
        webhook = start_webhook(config=CONFIG.replace("mode: classic", "mode: auto"),
                                arguments=["--service-account-dir", str(server.account), *more])
        return webhook, server
    yield start
    for server in servers:
        server.stop()


@pytest.mark.parametrize("version,sidecar", [("v1.36.2", "native"), ("v1.31.9", "classic"),
                                            ("v1.32.1-eks-abc", "native")])
def test_version_decides(start, version, sidecar):
    webhook, server = start(version)
    wait_until(lambda: webhook.lines("the API server's version is known"), "the answer")
    assert record(webhook)["sidecar"] == sidecar
    assert server.requests == [("/version", "Bearer the-token")]


@pytest.mark.parametrize("version,status,says", [
    ("v1.36.2", 403, "GET /version: status 403"), (b"{", 200, "not JSON"),
    ("huh", 200, "expected a version such as 1.36"), (b"x" * 100000, 200, "too large")])
def test_no_response_is_classic(start, version, status, says):
    webhook, _ = start(version, status)
    message = "the API server's version is not known, sidecar mode auto is classic"
    assert says in wait_until(lambda: webhook.lines(message), "the warning")[0]["error"]
    assert record(webhook)["sidecar"] == "classic"


def test_another_ca_is_not_trusted(start, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/ca.crt").write_text(Certificate().chain)
    (tmp_path / "other/token").write_text("x")
    webhook, server = start("v1.36.2", more=["--service-account-dir", str(tmp_path / "other")])
    message = "the API server's version is not known, sidecar mode auto is classic"
    assert "certificate" in wait_until(lambda: webhook.lines(message), "the warning")[0]["error"]
    assert server.requests == []


def test_the_flag_goes_first(start):
    webhook, server = start("v1.20.0", more=["--kube-version", "1.36"])
    assert record(webhook)["sidecar"] == "native"
    assert server.requests == []
