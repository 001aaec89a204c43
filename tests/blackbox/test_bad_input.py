"""Whatever is sent, the answer is clear, the process lives, and nothing leaks (the sanitized run of
this file ends the server and insists on a clean exit)."""
import copy
import json
import pathlib
import random
import socket
import time

import pytest

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
REVIEW = json.loads((DATA / "reviews/019-create-pods-bare.json").read_text())
UID = REVIEW["request"]["uid"]


def alive(webhook):
    status, _, body = webhook.post("/mutate", json.dumps(REVIEW).encode())
    assert status == 200 and "patch" in json.loads(body)["response"]


def changed(path, value):
    """The good review with one thing changed; value None removes it."""
    review = copy.deepcopy(REVIEW)
    node = review
    for key in path[:-1]:
        node = node[key]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return json.dumps(review).encode()


NOT_REVIEWS = {
    "empty": (b"", "not JSON"),
    "text": (b"hello", "not JSON"),
    "truncated": (json.dumps(REVIEW).encode()[:1000], "ends at byte"),
    "array": (b"[]", "AdmissionReview object"),
    "null": (b"null", "AdmissionReview object"),
    "two values": (b"{} {}", "something follows"),
    "nul byte": (b'{"a":"\0"}', "NUL byte"),
    "control character": (json.dumps(REVIEW).encode().replace(b'"/agent"', b'"/age\x01nt"'),
                          "a control character in a string"),
    "deep": (b"[" * 10000 + b"]" * 10000, "nested deeper"),
    "deep objects": (b'{"a":' * 10000 + b"1" + b"}" * 10000, "nested deeper"),
    "no kind": (b"{}", "kind AdmissionReview"),
    "wrong kind": (changed(["kind"], "Pod"), "got Pod"),
    "wrong version": (changed(["apiVersion"], "admission.k8s.io/v1beta1"), "got admission.k8s.io/v1beta1"),
    "no version": (changed(["apiVersion"], None), "got none"),
    "no request": (changed(["request"], None), "uid"),
    "request is a list": (changed(["request"], []), "uid"),
    "no uid": (changed(["request", "uid"], None), "uid (a string), got nothing"),
    "empty uid": (changed(["request", "uid"], ""), "uid"),
    "uid is a number": (changed(["request", "uid"], 5), "got number"),
}


@pytest.mark.parametrize("name", NOT_REVIEWS)
def test_no_review_is_a_400(webhook, name):
    body, message = NOT_REVIEWS[name]
    status, headers, content = webhook.post("/mutate", body)
    assert status == 400
    assert message in content.decode()
    assert headers["Content-Type"] == "text/plain"
    alive(webhook)


UNVERIFIED = {
    "object null": (changed(["request", "object"], json.loads("null") or 0), "expected a Pod"),
    "object missing": (changed(["request", "object"], None), "expected a Pod"),
    "object a string": (changed(["request", "object"], "pod"), "expected a Pod, got string"),
    "spec missing": (changed(["request", "object", "spec"], None), "not of the shape"),
    "spec a list": (changed(["request", "object", "spec"], []), "not of the shape"),
    "no containers": (changed(["request", "object", "spec", "containers"], []), "shape"),
    "containers an object": (changed(["request", "object", "spec", "containers"], {}), "shape"),
    "container a string": (changed(["request", "object", "spec", "containers"], ["x"]), "shape"),
    "nameless": (changed(["request", "object", "spec", "containers", 0, "name"], None), "shape"),
    "command a string": (changed(["request", "object", "spec", "containers", 0, "command"], "x"),
                         "shape"),
    "labels a list": (changed(["request", "object", "metadata", "labels"], []), "shape"),
    "label a number": (changed(["request", "object", "metadata", "labels"], {"a": 1}), "shape"),
    "volumes of numbers": (changed(["request", "object", "spec", "volumes"], [1]), "shape"),
    # What the API server would refuse by itself: the patched pod does not pass our check.
    "a name twice": (changed(["request", "object", "spec", "initContainers"], [{"name": "main"}]),
                     'container "main": the name is taken'),
    "limit below request": (changed(["request", "object", "spec", "containers", 0, "resources"],
                                    {"limits": {"cpu": "1"}, "requests": {"cpu": "1001m"}}),
                            "limit of cpu below its request"),
    "large annotations": (changed(["request", "object", "metadata", "annotations"],
                                  {"a": "x" * 300_000}), "more than 262144 bytes"),
    "key twice": (json.dumps(REVIEW).replace('"operation"', '"namespace": "x", "operation"')
                  .encode(), "given twice"),
    "escaped NUL": (json.dumps(REVIEW).replace('"/agent"', '"/agent\\u0000x"').encode(), "NUL"),
    "not UTF-8": (json.dumps(REVIEW).encode().replace(b'"/agent"', b'"/ag\xffent"'), "UTF-8"),
}


@pytest.mark.parametrize("name", UNVERIFIED)
def test_a_review_that_is_not_faithful_is_allowed_with_a_warning(webhook, name):
    body, message = UNVERIFIED[name]
    failures = 'lastword_admission_requests_total{result="verification-failed"}'
    before = webhook.metric(failures)
    status, _, content = webhook.post("/mutate", body)
    assert webhook.metric(failures) == before + 1
    assert status == 200
    response = json.loads(content)["response"]
    assert response["uid"] == UID and response["allowed"] is True
    assert "patch" not in response
    assert any(message in warning for warning in response["warnings"]), response
    alive(webhook)


def test_wrong_path_method_type(webhook):
    body = json.dumps(REVIEW).encode()
    assert webhook.post("/", body)[0] == 404
    assert webhook.post("/mutate/", body)[0] == 404
    status, headers, content = webhook.request("GET", "/mutate")
    assert (status, headers["Allow"]) == (405, "POST") and b"expected the method POST" in content
    assert webhook.request("PUT", "/mutate", body, {"Content-Type": "application/json"})[0] == 405
    for content_type in ("text/plain", "application/jsonp", "application/x-www-form-urlencoded"):
        status, _, content = webhook.post("/mutate", body, content_type)
        assert status == 415 and b"application/json" in content
    assert webhook.request("POST", "/mutate", body)[0] == 415
    assert webhook.post("/mutate", body, "Application/JSON; charset=utf-8")[0] == 200
    assert webhook.post("/mutate?timeout=5s&x=%00", body)[0] == 200


def test_eleven_megabytes(webhook):
    connection = webhook.connect()
    connection.putrequest("POST", "/mutate")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(11 * 1024 * 1024))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert b"at most 10485760 bytes" in response.read()
    connection.close()
    alive(webhook)


def test_eleven_megabytes_in_chunks(webhook):
    """Nobody said how much would come: all of it is taken, none of it kept."""
    connection = webhook.connect()
    connection.request("POST", "/mutate", (b"x" * 65536 for _ in range(176)),
                       {"Content-Type": "application/json"}, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 413
    connection.close()
    alive(webhook)


def test_ten_megabytes_pass(webhook):
    review = copy.deepcopy(REVIEW)
    review["request"]["object"]["metadata"]["managedFields"] = ["x" * 10_000_000]
    status, _, content = webhook.post("/mutate", json.dumps(review).encode())
    assert status == 200 and "patch" in json.loads(content)["response"]


def test_a_tree_too_large_for_memory(webhook):
    """5 million nodes of two bytes each."""
    connection = webhook.connect()
    body = b'{"kind":"AdmissionReview","a":[' + b"1," * 5_000_000 + b"1]}"
    status, _, content = webhook.post("/mutate", body, connection=connection)
    assert status == 400 and b"too large" in content
    connection.close()
    alive(webhook)


def test_a_byte_a_second_is_cut_off(webhook):
    """Each byte is activity; the deadline is absolute all the same. Two at once: one is slow with
    its header, one with its body."""
    before = webhook.metric("lastword_http_timeouts_total")
    header = webhook.connect()
    body = webhook.connect()
    body.sock.sendall(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      b"Content-Length: 1000\r\n\r\n")
    open_ends = {header.sock, body.sock}
    end = time.monotonic() + 60
    while open_ends:
        assert time.monotonic() < end, "still connected"
        for sock in list(open_ends):
            try:
                sock.sendall(b"P")
            except OSError:
                open_ends.discard(sock)
        time.sleep(0.5)
    assert webhook.metric("lastword_http_timeouts_total") - before >= 2
    alive(webhook)


def test_garbage_instead_of_tls(webhook):
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\0" * 1000):
        with socket.create_connection(("127.0.0.1", webhook.port), timeout=30) as sock:
            sock.sendall(garbage)
            try:
                while sock.recv(1000):
                    pass
            except OSError:
                pass
    alive(webhook)


def test_random_damage(webhook):
    """A recorded review with random bytes changed, cut or doubled: always an answer."""
    generator = random.Random(20260101)
    original = json.dumps(REVIEW).encode()
    for _ in range(400):
        body = bytearray(original)
        for _ in range(generator.randrange(1, 6)):
            at = generator.randrange(len(body))
            kind = generator.randrange(3)
            if kind == 0:
                body[at] = generator.randrange(256)
            elif kind == 1:
                del body[at:at + generator.randrange(1, 40)]
            else:
                body[at:at] = body[at:at + generator.randrange(1, 40)]
        status, _, content = webhook.post("/mutate", bytes(body))
        assert status in (200, 400)
        if status == 200:
            assert json.loads(content)["response"]["allowed"] is True
    alive(webhook)


def test_the_log_says_it_without_a_flood(webhook):
    lines = [line for line in webhook.lines("admission") if line.get("result") == "invalid"]
    assert lines and all(line["level"] == "warning" and line["problem"] for line in lines)
    assert len(lines) < 100  # hundreds were sent
