"""The breaker: the real webhook reads its state from an API server that the test plays. While it is
open no container is wrapped, but what needs no image goes on."""
import json

import pytest

from test_server import CONFIG, REVIEW
from waiting import wait_until

from kube_api import KubeApi

PATH = "/api/v1/namespaces/lastword-system/configmaps/lastword-breaker"
NAMESPACE = json.loads(REVIEW)["request"]["namespace"]
READ_AT = "lastword_breaker_read_timestamp_seconds"


def state(*entries, **more):
    document = {"version": 1, "namespaces": {name: {"state": position} | rest
                                             for name, position, rest in entries}} | more
    return {"metadata": {"resourceVersion": "7"}, "data": {"state.json": json.dumps(document)}}


def entry(position, namespace=NAMESPACE, **rest):
    return namespace, position, {"since": "2026-11-23T18:37:55Z"} | rest


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    server = KubeApi(tmp_path_factory.mktemp("api"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def webhook(start_webhook, api):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in api.environment.items():
            patch.setenv(name, value)
        api.objects[PATH] = state(entry("open"))
        started = start_webhook(config=CONFIG, arguments=[
            "--service-account-dir", str(api.account), "--kube-version", "1.36",
            "--breaker", "lastword-system/lastword-breaker", "--breaker-interval", "50ms"])
        # It was read before the first review could come.
        assert api.requests and started.metric(READ_AT) > 1.7e9
        yield started


def put(api, value):
    """The state is this, and the webhook has read it."""
    api.objects[PATH] = value
    read = len(api.requests)
    wait_until(lambda: len(api.requests) >= read + 2, "the webhook to read the state")


def review(webhook, **request):
    body = json.loads(REVIEW)
    body["request"] |= request
    status, _, content = webhook.post("/mutate", json.dumps(body))
    assert status == 200
    response = json.loads(content)["response"]
    assert response["allowed"] is True
    return json.loads(response["auditAnnotations"]["decision"])


def command(record):
    container, = record["containers"]
    return "applied" if "command" in container["applied"] else container["skipped"]["command"]


def test_open_from_the_first_review_on(webhook, api):
    put(api, state(entry("open"), entry("open", "others")))
    record = review(webhook)
    assert record["outcome"] == "injected" and record["sidecar"] == "none"
    container, = record["containers"]
    assert container["applied"] == ["terminationMessagePolicy", "resources"]
    assert container["skipped"]["command"] == "breaker"
    assert container["skipped"]["preStop"] == "not-wrapped"
    assert webhook.metric('lastword_admission_skips_total{reason="breaker"}') >= 1
    # Another namespace is none of its business.
    assert command(review(webhook, namespace="elsewhere")) == "applied"


@pytest.mark.parametrize("value", [
    state(entry("closed")), state(), {"metadata": {"resourceVersion": "1"}}, None],
    ids=["closed", "empty", "no-key", "no-config-map"])
def test_closed(webhook, api, value):
    put(api, state(entry("open")))
    assert command(review(webhook)) == "breaker"
    put(api, value)
    assert command(review(webhook)) == "applied"


def test_half_open_lets_one_through(webhook, api):
    put(api, state(entry("half-open", since="2026-11-23T19:00:00Z")))
    assert command(review(webhook, dryRun=True)) == "breaker"
    record = review(webhook)
    assert command(record) == "applied" and record["trial"] == "2026-11-23T19:00:00.000000Z"
    for _ in range(3):
        record = review(webhook)
        assert command(record) == "breaker" and "trial" not in record
    put(api, state(entry("half-open", since="2026-11-23T19:05:00Z", trial="seen-already")))
    assert command(review(webhook)) == "breaker"
    put(api, state(entry("half-open", since="2026-11-23T19:10:00Z")))
    assert command(review(webhook)) == "applied"
    assert command(review(webhook)) == "breaker"


OVERSIZED = {"metadata": {"resourceVersion": "7"}, "data": {"x": "y" * 5_000_000}}
TOO_MANY = state(*(entry("open", f"n{i}") for i in range(501)))


@pytest.mark.parametrize("value", [
    b"huh", {"kind": "Status"}, state(entry("ajar")), state(entry("closed"), version=2), OVERSIZED,
    TOO_MANY, (403, "Forbidden"), (500, "InternalError"), "hang-up"],
    ids=["garbage", "no-config-map", "unknown-state", "other-version", "oversized", "too-many",
         "forbidden", "failing", "unreachable"])
def test_the_last_state_stays_in_force(webhook, api, value):
    def lines():
        return webhook.lines("the breaker's state cannot be read, the last one stays in force")
    put(api, state(entry("open")))
    before = len(lines())
    put(api, value)
    # A connection that ends is tried once more before that counts as an error.
    wait_until(lambda: len(lines()) > before, "the webhook to say so")
    put(api, value)
    assert command(review(webhook)) == "breaker"
    assert len(lines()) == before + 1 and lines()[-1]["error"]
    put(api, state())
    assert command(review(webhook)) == "applied"
    assert webhook.lines("the breaker's state is read again")


def test_the_metric_shows_that_it_is_stale(webhook, api):
    put(api, state())
    fresh = webhook.metric(READ_AT)
    put(api, "hang-up")
    stale = webhook.metric(READ_AT)
    wait_until(lambda: __import__("time").time() > stale + 2, "two seconds")
    assert webhook.metric(READ_AT) == stale >= fresh
    put(api, state())
    wait_until(lambda: webhook.metric(READ_AT) > stale, "it to be read again")


def test_shadow_uses_no_trial_up(start_webhook, api):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in api.environment.items():
            patch.setenv(name, value)
        api.objects[PATH] = state(entry("half-open", since="2026-11-23T20:00:00Z"))
        shadow = start_webhook(config=CONFIG.replace("  - name: agents\n", "  - name: agents\n    mode: shadow\n"), arguments=[
            "--service-account-dir", str(api.account), "--kube-version", "1.36",
            "--breaker", "lastword-system/lastword-breaker"])
    for _ in range(2):
        record = review(shadow)
        assert command(record) == "applied" and record["outcome"] == "shadow"
        assert "trial" not in record
