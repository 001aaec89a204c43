"""The server's own conduct: TLS, health, reloads, overload, drain."""
import http.client
import json
import os
import pathlib
import resource
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from certificate import Certificate
from waiting import wait_until
from webhook_process import BUILD

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
CONFIG = (DATA / "config/reviews.yaml").read_text().replace("MODE", "classic")
REVIEW = (DATA / "reviews/019-create-pods-bare.json").read_bytes()


def record(webhook, connection=None):
    status, _, body = webhook.post("/mutate", REVIEW, connection=connection)
    assert status == 200
    return json.loads(json.loads(body)["response"]["auditAnnotations"]["decision"])


def test_old_tls_is_refused(webhook):
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    context = webhook.tls_context()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", webhook.port)) as sock:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(sock, server_hostname="localhost")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = webhook.tls_context()
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", webhook.port)) as sock:
            context.wrap_socket(sock, server_hostname="localhost").close()


def test_health_and_metrics(webhook):
    record(webhook)
    assert webhook.plain("/healthz") == (200, "ok\n")
    assert webhook.plain("/readyz") == (200, "ok\n")
    assert webhook.plain("/nothing")[0] == 404
    status, text = webhook.plain("/metrics")
    assert status == 200
    seen = set()
    for line in text.splitlines():
        if line.startswith("# "):
            kind, name = line.split()[1:3]
            assert kind in ("HELP", "TYPE") and name.startswith(("lastword_", "process_"))
            seen.add(name)
        else:
            name, value = line.rsplit(" ", 1)
            float(value)
            base = name.split("{")[0]
            assert base in seen or base.rsplit("_", 1)[0] in seen
    assert webhook.metric('lastword_admission_requests_total{result="injected"}') >= 1
    assert webhook.metric("lastword_admission_duration_seconds_count") >= 1
    assert webhook.metric("lastword_certificate_expiry_timestamp_seconds") > 1e9
    assert webhook.metric('lastword_build_info{version="0.1.0"}') == 1


def test_many_requests_on_one_connection(webhook):
    connection = webhook.connect()
    for _ in range(50):
        record(webhook, connection)
    connection.close()


def test_pipelined_requests(webhook):
    connection = webhook.connect()
    request = (b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               b"Content-Length: %d\r\n\r\n" % len(REVIEW)) + REVIEW
    connection.sock.sendall(request * 3)
    received = b""
    while received.count(b"HTTP/1.1 200") < 3:
        chunk = connection.sock.recv(65536)
        assert chunk, received[-500:]
        received += chunk
    connection.close()


def test_certificate_changes_between_handshakes(start_webhook):
    webhook = start_webhook()
    first = webhook.certificate
    assert wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    kept = webhook.connect()
    record(webhook, kept)
    second = Certificate()
    webhook.write_certificate(second)

    def serves_second():
        try:
            webhook.connect(second).close()
            return True
        except ssl.SSLError:
            return False
    wait_until(serves_second, "the new certificate")
    with pytest.raises(ssl.SSLError):
        webhook.connect(first)
    record(webhook, kept)  # the old connection lives on
    kept.close()

    # A key that does not fit, then half a file: the certificate in use stays.
    errors = len(webhook.lines("the certificate is refused, the one in use stays"))
    (webhook.folder / "tls.key").write_text(Certificate().key)
    wait_until(lambda: len(webhook.lines("the certificate is refused, the one in use stays"))
               > errors, "the refusal")
    assert "the key is not the certificate's" in \
        webhook.lines("the certificate is refused, the one in use stays")[-1]["error"]
    webhook.connect(second).close()
    (webhook.folder / "tls.crt").write_text(second.chain[:100])
    wait_until(lambda: len(webhook.lines("the certificate is refused, the one in use stays"))
               > errors + 1, "the second refusal")
    webhook.connect(second).close()
    assert webhook.ready() == (200, "ok\n")


def test_certificates_and_config_change_under_load(start_webhook):
    """Requests on kept connections and on new ones, while both change again and again: none fails."""
    webhook = start_webhook(config=CONFIG)
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    anybody = ssl._create_unverified_context()
    stop = threading.Event()
    failures, responses = [], []

    def client(keeps):
        connection = None
        try:
            while not stop.is_set():
                connection = connection or http.client.HTTPSConnection(
                    "localhost", webhook.port, timeout=60, context=anybody)
                connection.request("POST", "/mutate", REVIEW, {"Content-Type": "application/json"})
                response = connection.getresponse()
                assert response.status == 200 and b'"patch"' in response.read()
                responses.append(keeps)
                if not keeps:
                    connection.close()
                    connection = None
        except Exception as error:  # noqa: BLE001
            failures.append(repr(error))
        if connection:
            connection.close()
    threads = [threading.Thread(target=client, args=(keeps,)) for keeps in (True, True, False, False)]
    for thread in threads:
        thread.start()
    in_use = lambda: len(webhook.lines("certificate in use"))  # noqa: E731
    in_force = lambda: len(webhook.lines("configuration in force"))  # noqa: E731
    for round_ in range(2):
        certificates, configurations = in_use(), in_force()
        webhook.write_certificate(Certificate())
        swap(webhook.config_file, CONFIG + f"# {round_}\n")
        wait_until(lambda: in_use() > certificates and in_force() > configurations, "both")
        before = len(responses)
        wait_until(lambda: len(responses) > before + 20 or failures, "requests after the change")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures and {True, False} <= set(responses)


@pytest.mark.parametrize("days,started,reason", [(-1, -2, "the certificate has expired\n"),
                                                (2, 1, "the certificate is not valid yet\n")])
def test_not_ready_without_a_valid_certificate(start_webhook, days, started, reason):
    webhook = start_webhook(certificate=Certificate(days=days, started=started))
    wait_until(lambda: webhook.ready() == (503, reason), reason)
    webhook.write_certificate(Certificate())
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")


def test_not_ready_without_a_certificate(start_webhook):
    broken = Certificate()
    broken.chain = "nothing\n"
    webhook = start_webhook(certificate=broken)
    wait_until(lambda: webhook.lines("the certificate is refused, the one in use stays"), "a refusal")
    assert webhook.ready() == (503, "no certificate\n")
    assert webhook.plain("/healthz")[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with socket.create_connection(("127.0.0.1", webhook.port)) as sock:
            ssl._create_unverified_context().wrap_socket(sock).close()
    webhook.write_certificate(Certificate())
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")


def swap(path, text):
    """As the kubelet updates a mounted ConfigMap: the name points elsewhere at once."""
    new = path.parent / f"{path.name}.{os.urandom(4).hex()}"
    new.write_text(text)
    link = path.parent / "link"
    link.symlink_to(new)
    link.replace(path)


def test_config_changes_while_connections_stay(start_webhook):
    webhook = start_webhook(config=CONFIG)
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    kept = webhook.connect()
    assert record(webhook, kept)["rule"] == "agents"
    before = record(webhook, kept)["config"]

    swap(webhook.config_file, CONFIG.replace("name: agents", "name: renamed"))
    wait_until(lambda: record(webhook, kept)["rule"] == "renamed", "the new configuration")
    after = record(webhook, kept)["config"]
    assert after != before
    assert webhook.metric('lastword_config_reloads_total{result="success"}') == 2

    swap(webhook.config_file, CONFIG.replace("rules:", "rulez:"))
    refused = "the new configuration is refused, the last good one stays"
    wait_until(lambda: webhook.lines(refused), "a refusal")
    assert "unknown key \"rulez\"" in webhook.lines(refused)[0]["error"]
    assert record(webhook, kept)["config"] == after
    assert webhook.metric('lastword_config_reloads_total{result="failure"}') == 1
    assert webhook.ready() == (200, "ok\n")

    webhook.config_file.unlink()
    wait_until(lambda: len(webhook.lines(refused)) == 2, "the second refusal")
    assert record(webhook, kept)["config"] == after
    swap(webhook.config_file, CONFIG)
    wait_until(lambda: record(webhook, kept)["config"] == before, "the first one again")
    kept.close()


def begin_body(webhook, length):
    connection = webhook.connect()
    connection.putrequest("POST", "/mutate")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    return connection


def test_announced_bodies_take_nothing(webhook):
    """Headers alone, of bodies beyond all memory for them, turn nobody away."""
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    held = [begin_body(webhook, 10_000_000) for _ in range(20)]
    large = json.loads(REVIEW)
    large["request"]["object"]["metadata"]["managedFields"] = ["x" * 5_000_000]
    assert webhook.post("/mutate", json.dumps(large).encode())[0] == 200
    for connection in held:
        connection.close()


def test_half_a_handshake_costs_nothing(webhook):
    """A ClientHello and then silence: the server waits for the rest, and does not spin."""
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    held = []
    for _ in range(8):
        out = ssl.MemoryBIO()
        half = webhook.tls_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            half.do_handshake()
        held.append(socket.create_connection(("127.0.0.1", webhook.port), timeout=30))
        held[-1].sendall(out.read())
        assert held[-1].recv(1)  # the server has answered, and waits
    before = webhook.cpu_seconds()
    time.sleep(1)  # what is measured is the processor's time, not this
    assert webhook.cpu_seconds() - before < 0.1
    for sock in held:
        sock.close()


def test_overload_is_a_503(webhook):
    """Bodies beyond the memory for all of them are turned away, small ones still taken; when they
    have gone all is well again."""
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    for _ in range(5):  # on a slow machine the first may be past its deadline when the last comes
        held = []
        response = None
        try:
            small = webhook.connect()
            held.append(small)
            for _ in range(4):
                held.append(begin_body(webhook, 10_000_000))
            for connection in held[1:]:
                connection.sock.sendall(b" " * 8_000_000)
            connection = begin_body(webhook, 10_000_000)
            connection.sock.settimeout(3)
            response = connection.getresponse()
            assert response.status == 503 and response.getheader("Retry-After") == "1"
            assert response.read() == b"too many requests at once, try again\n"
            record(webhook, small)
            break
        except OSError:
            assert response is None or response.status == 503
        finally:
            for connection in held:
                connection.close()
    assert response is not None and response.status == 503
    assert webhook.metric("lastword_http_overloaded_total") >= 1

    def taken():
        connection = begin_body(webhook, 10_000_000)
        try:
            connection.sock.sendall(b" " * 10_000_000)
            return connection.getresponse().status == 400  # only space
        except OSError:  # turned away once more
            return False
        finally:
            connection.close()
    wait_until(taken, "room for a large body")


def test_connections_of_an_address_are_limited(webhook):
    """The oldest silent one makes room for a new one of the same address, which is answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    count = lambda: webhook.metric("lastword_http_connections")  # noqa: E731
    displaced = webhook.metric("lastword_http_displaced_total")
    held = []
    try:
        for _ in range(1300):
            held.append(socket.create_connection(("127.0.0.1", webhook.port), timeout=30))
        assert count() <= 384
        fresh = webhook.connect()
        record(webhook, fresh)
        fresh.close()
        wait_until(lambda: webhook.metric("lastword_http_displaced_total") - displaced >= 800,
                   "the oldest to make room")
    finally:
        for sock in held:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: count() <= 2, "them to go")


def test_drain(start_webhook):
    """SIGTERM: not ready at once, still answering; then what is in flight is finished."""
    webhook = start_webhook(arguments=["--drain", "2s"])
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    kept = webhook.connect()
    record(webhook, kept)
    slow = webhook.connect()
    slow.sock.sendall(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(REVIEW) + REVIEW[:100])
    webhook.process.send_signal(signal.SIGTERM)
    wait_until(lambda: webhook.ready() == (503, "shutting down\n"), "not ready")

    fresh = webhook.connect()  # the port is still open
    fresh.request("POST", "/mutate", REVIEW, {"Content-Type": "application/json"})
    response = fresh.getresponse()
    assert response.status == 200 and response.getheader("Connection") == "close"
    response.read()

    def refused():
        try:
            socket.create_connection(("127.0.0.1", webhook.port), timeout=1).close()
            return False
        except OSError:
            return True
    wait_until(refused, "the port to close")
    slow.sock.sendall(REVIEW[100:])
    assert slow.sock.recv(100).startswith(b"HTTP/1.1 200")
    assert webhook.process.wait(30) == 0


def test_requests_from_many_threads(webhook):
    failures = []

    def client():
        try:
            connection = webhook.connect()
            for _ in range(40):
                record(webhook, connection)
            connection.close()
        except Exception as error:  # noqa: BLE001
            failures.append(error)
    threads = [threading.Thread(target=client) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def run(*arguments):
    return subprocess.run([BUILD / "bin/lastword-webhook", *map(str, arguments)],
                          capture_output=True, text=True, timeout=30)


def test_usage():
    done = run("--help")
    assert done.returncode == 0 and "--tls-cert FILE" in done.stdout
    assert run("--version").stdout == "lastword-webhook 0.1.0\n"
    for arguments in ([], ["--nothing"], ["--threads", "0"], ["--threads", "x"], ["extra"],
                      ["--drain", "5"], ["--kube-version", "2.0"], ["--log-level", "loud"]):
        done = run(*arguments)
        assert done.returncode == 2 and done.stderr.startswith("lastword-webhook") or \
            "unrecognized option" in done.stderr, arguments


def test_cannot_start(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    rest = ["--tls-cert", "/x", "--tls-key", "/x", "--metrics", "127.0.0.1:0"]
    done = run("--config", tmp_path / "none.yaml", *rest)
    assert done.returncode == 1 and "No such file" in json.loads(done.stderr)["error"]
    for address in ("nonsense", "127.0.0.1:99999", "127.0.0.1", "256.0.0.1:1"):
        done = run("--config", config, "--listen", address, *rest)
        assert done.returncode == 1 and address in json.loads(done.stderr)["error"]
    config.write_text("rules: [")
    done = run("--config", config, *rest)
    assert done.returncode == 1 and "config.yaml: line 2, column 1" in json.loads(done.stderr)["error"]
