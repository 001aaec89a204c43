"""lib/kube/client against a fake API server over TLS."""
import copy
import json
import os
import pathlib
import subprocess

import pytest

from api_server import ApiServer
from certificate import Certificate
from waiting import HANG

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build"))


class Driver:
    def __init__(self, server, *words, account=None):
        self.process = subprocess.Popen(
            [BUILD / "tests/kube_driver", str(account or server.account), *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **server.environment, "https_proxy": "http://127.0.0.1:1"})

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def line(self):
        return self.process.stdout.readline().strip()

    def outcome(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise AssertionError(f"no outcome; exit {self.process.wait(HANG)}")

    def end(self):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        assert self.process.wait(HANG) == 0
        return rest


@pytest.fixture
def serve(tmp_path):
    servers = []

    def serve(respond):
        requests = []

        def counted(request):
            requests.append(copy.copy(request))  # one object serves a whole connection
            respond(request)
        server = ApiServer(tmp_path, counted)
        server.requests = requests
        servers.append(server)
        return server
    yield serve
    for server in servers:
        server.stop()


def run(server, *words):
    driver = Driver(server, *words)
    outcome = driver.outcome()
    driver.end()
    return outcome


def test_methods_bodies_and_content_types(serve):
    def respond(request):
        request.send(201 if request.command == "POST" else 200, {"got": request.command})
    server = serve(respond)
    driver = Driver(server, "call", "GET", "/a?x=1", "call", "POST", "/b", '{"a":1}',
                    "call", "PUT", "/c", "{}", "call", "PATCH", "/d", "{}",
                    "application/merge-patch+json", "call", "DELETE", "/e")
    outcomes = [driver.outcome() for _ in range(5)]
    driver.end()
    assert [o["status"] for o in outcomes] == [200, 201, 200, 200, 200]
    assert [json.loads(o["body"])["got"] for o in outcomes] == [
        "GET", "POST", "PUT", "PATCH", "DELETE"]
    assert not any("error" in o for o in outcomes)
    seen = [(r.command, r.path, r.content, r.headers["Content-Type"]) for r in server.requests]
    assert seen == [("GET", "/a?x=1", b"", None), ("POST", "/b", b'{"a":1}', "application/json"),
                    ("PUT", "/c", b"{}", "application/json"),
                    ("PATCH", "/d", b"{}", "application/merge-patch+json"),
                    ("DELETE", "/e", b"", None)]
    assert all(r.headers["Authorization"] == "Bearer the-token" for r in server.requests)
    assert len({r.client_address for r in server.requests}) == 1  # one connection


def test_a_rotated_token_is_used_at_once(serve):
    server = serve(lambda request: request.send(200, {}))
    driver = Driver(server, "call", "GET", "/a", "wait", "call", "GET", "/b")
    driver.outcome()
    server.set_token("a-new-token")
    driver.go_on()
    driver.outcome()
    driver.end()
    assert [r.headers["Authorization"] for r in server.requests] == [
        "Bearer the-token", "Bearer a-new-token"]


def test_without_a_token_there_is_no_request(serve, tmp_path):
    server = serve(lambda request: request.send(200, {}))
    (server.account / "token").unlink()
    assert "token" in run(server, "call", "GET", "/a")["error"]
    assert server.requests == []


def test_a_refusal_says_why(serve):
    server = serve(lambda request: request.send_status(
        409, "AlreadyExists", 'agentexits.lastword.dev "x" already exists'))
    outcome = run(server, "attempts=5", "call", "POST", "/apis/x", "{}")
    assert outcome["error"] == ('POST /apis/x: status 409 AlreadyExists: agentexits.lastword.dev '
                                '"x" already exists')
    assert (outcome["status"], outcome["reason"]) == (409, "AlreadyExists")
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"upstream broken", b"", b"{", b"[]", b'{"kind": 3}'])
def test_an_error_need_not_be_a_status_object(serve, body):
    outcome = run(serve(lambda request: request.send(502, body)), "call", "GET", "/a")
    assert (outcome["status"], outcome["error"]) == (502, "GET /a: status 502")


def test_a_200_that_is_an_error_is_one(serve):
    server = serve(lambda request: request.send_status(410, "Expired", "too old", status=200))
    outcome = run(server, "call", "GET", "/a")
    assert (outcome["status"], outcome["reason"]) == (410, "Expired")
    assert outcome["error"] == "GET /a: status 410 Expired: too old"


def test_a_response_has_a_ceiling(serve):
    server = serve(lambda request: request.send(200, b"x" * 5001))
    assert run(server, "max=5000", "call", "GET", "/a")["error"] == (
        "GET /a: the response is too large")
    outcome = run(server, "max=5001", "call", "GET", "/a")
    assert "error" not in outcome and len(outcome["body"]) == 5001


def test_half_a_response_is_none(serve):
    def respond(request):
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b"{")
        request.close_connection = True
    outcome = run(serve(respond), "call", "GET", "/a")
    assert outcome["status"] == 0 and outcome["error"].startswith("GET /a: ")


def test_a_busy_server_is_tried_again(serve):
    responses = iter([lambda r: r.send_status(429, "TooManyRequests", "slow down",
                                            {"Retry-After": "1"}),
                    lambda r: r.send_status(503, "ServiceUnavailable", "starting"),
                    lambda r: r.send(200, {"at": "last"})])
    server = serve(lambda request: next(responses)(request))
    outcome = run(server, "attempts=3", "call", "PUT", "/a", "{}")
    assert "error" not in outcome and json.loads(outcome["body"]) == {"at": "last"}
    assert [r.content for r in server.requests] == [b"{}"] * 3


def test_retries_end_and_say_what_came_last(serve):
    server = serve(lambda request: request.send_status(500, "InternalError", "etcd is gone",
                                                       {"Retry-After": "2"}))
    outcome = run(server, "call", "GET", "/a")
    assert outcome["retry_after"] == 2000000000 and len(server.requests) == 1
    server.respond = lambda request: request.send_status(500, "InternalError", "etcd is gone")
    outcome = run(server, "attempts=3", "call", "GET", "/a")
    assert outcome["error"] == "GET /a: status 500 InternalError: etcd is gone"


def test_no_server_is_no_response(serve):
    server = serve(lambda request: request.send(200, {}))
    server.environment["KUBERNETES_SERVICE_PORT"] = "1"
    outcome = run(server, "call", "GET", "/a")
    assert outcome["status"] == 0 and "Failed to connect" in outcome["error"]


def test_another_ca_is_not_trusted(serve):
    server = serve(lambda request: request.send(200, {}))
    (server.account / "ca.crt").write_text(Certificate().chain)
    assert "certificate" in run(server, "call", "GET", "/a")["error"]
    assert server.requests == []


def test_a_connection_that_the_server_closed_is_replaced(serve):
    def respond(request):
        request.send(200, {})
        request.close_connection = True
    server = serve(respond)
    driver = Driver(server, "call", "POST", "/a", "{}", "wait", "call", "POST", "/b", "{}")
    driver.outcome()
    driver.go_on()
    assert "error" not in driver.outcome()
    driver.end()


def test_a_stream_comes_in_pieces(serve):
    def respond(request):
        request.begin_stream()
        for _ in range(3):
            request.send_chunk(b"0123456789")
        request.end_stream()
    outcome = run(serve(respond), "stream", "/a?watch=1")
    assert (outcome["status"], outcome["bytes"], outcome["body"]) == (200, 30, "")
    assert "error" not in outcome


def test_a_refused_stream_is_no_stream(serve):
    server = serve(lambda request: request.send_status(410, "Expired", "too old"))
    driver = Driver(server, "stream", "/a")
    assert json.loads(driver.line())["status"] == 410  # no chunk before
    driver.end()


def test_a_half_open_stream_is_noticed(serve):
    done = []

    def respond(request):
        request.begin_stream()
        request.send_chunk(b"x")
        done.append(request.connection.recv(1))  # until the client hangs up
    outcome = run(serve(respond), "idle=300000000", "stream", "/a")
    assert outcome["error"] == "GET /a: no byte for too long"
    assert outcome["bytes"] == 1


def test_a_stream_is_stopped_from_another_thread(serve):
    def respond(request):
        request.begin_stream()
        request.send_chunk(b"x")
        request.connection.recv(1)
    driver = Driver(serve(respond), "stop-on-line", "stream", "/a")
    assert driver.line() == "chunk"
    driver.go_on()
    assert driver.outcome() == {"stopped": True}
    driver.end()


def test_a_call_is_stopped_from_another_thread(serve):
    def respond(request):
        driver.go_on()
        request.connection.recv(1)  # until the client hangs up
    driver = Driver(serve(respond), "stop-on-line", "call", "GET", "/a")
    assert driver.outcome()["error"] == "GET /a: stopped"
    driver.end()


def test_a_call_has_a_time_limit(serve):
    server = serve(lambda request: request.connection.recv(1))
    assert "timed out" in run(server, "timeout=200000000", "call", "GET", "/a")["error"]


def test_many_requests_side_by_side(serve):
    server = serve(lambda request: request.send(200, {}))
    assert run(server, "many", "20", "/a") == {"finished": 19, "failed": 0}
