"""The receivers of the observer's own configuration, notified by the real program on loopback."""
import json
import time

import pytest

from certificate import Certificate
from cluster import Observer
from failing_agents import Agents, write_config
from injected import BUILD
from receiver_server import ReceiverServer
from waiting import wait_until

QUICK = ("--failover-delay", "1s", "--watch-idle", "5s", "--silent-after", "1s")


@pytest.fixture
def cluster(tmp_path):
    made = Agents(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def serve(tmp_path):
    made = []

    def start(**options):
        made.append(ReceiverServer(folder=tmp_path, **options))
        return made[-1]
    yield start
    for server in made:
        server.stop()


@pytest.fixture
def observe(tmp_path, cluster):
    started = []

    def start(*receivers, name="one", config=None):
        path = config or write_config(tmp_path, *receivers)
        started.append(Observer(tmp_path, cluster, name, "--config", str(path), *QUICK))
        wait_until(lambda: started[-1].metric("lastword_observer_leader") == 1, "it to lead")
        return started[-1]
    yield start
    for observer in started:
        if observer.process.returncode != -9:
            observer.stop()


def webhook(server, name="hook", **settings):
    return {"name": name, "type": "webhook", "url": server.url + "/hook", **settings}


def test_a_termination_is_notified_once(cluster, serve, observe):
    server = serve()
    observer = observe(webhook(server))
    cluster.end("writer-1", output='panic: "quoted" \\ and <tags>\n')
    wait_until(lambda: cluster.states("hook") == ["Delivered"], "the status")
    body, = server.bodies()
    assert (body["status"], body["namespace"], body["pod"]) == ("firing", "agents", "writer-1")
    assert body["exitCode"] == 1 and body["silent"] is False and body["similar"] == 0
    assert '"quoted" \\ and <tags>' in body["payloadSnippet"]
    assert body["id"] == "00000000-aaaa.main.0"
    assert observer.metric(
        'lastword_notifications_total{receiver="hook",result="delivered"}') == 1
    assert observer.metric('lastword_receiver_last_success_timestamp_seconds{receiver="hook"}') > 1e9
    # Nothing is repeated by who comes next.
    observer.stop()
    observe(webhook(server), name="two")
    cluster.end("writer-2")
    wait_until(lambda: cluster.states("hook") == ["Delivered"] * 2, "the second")
    assert [b["pod"] for b in server.bodies()] == ["writer-1", "writer-2"]


def test_what_was_not_delivered_is_delivered_by_the_next(cluster, serve, observe):
    server = serve(status=503)
    observer = observe(webhook(server))
    cluster.end("writer-1")
    wait_until(lambda: server.attempts and cluster.states("hook") == ["Pending"], "an attempt")
    observer.kill()
    server.action = 200
    cluster.lease = None
    observe(webhook(server), name="two")
    wait_until(lambda: cluster.states("hook") == ["Delivered"], "the status")
    assert [b["pod"] for b in server.bodies()] == ["writer-1"]


def test_silence_and_its_end(cluster, serve, observe):
    """A receiver of silence alone hears of it when it is confirmed, and when the agent succeeds."""
    server = serve()
    observe(webhook(server, filter={"silentOnly": True, "resolved": True}))
    cluster.end("writer-1")
    cluster.end("writer-2", helper=True)
    wait_until(lambda: cluster.states("hook") == ["Delivered"], "the silence")
    body, = server.bodies()
    assert (body["pod"], body["silent"], body["severity"]) == ("writer-2", True, "critical")
    cluster.end("writer-3", code=0)
    wait_until(lambda: cluster.states("hook") == ["Resolved"], "the success")
    assert server.bodies()[1]["status"] == "resolved"
    assert server.bodies()[1]["id"] == body["id"] + ".resolved"


def test_filters(cluster, serve, observe):
    one, panics = serve(), serve()
    observe(webhook(one, name="one", filter={"namespaces": ["team-*"]}),
            webhook(panics, name="panics", filter={"causes": ["Panic"]}))
    cluster.end("a-1", namespace="team-a", output="nothing special")
    cluster.end("b-1", namespace="other", output="panic: it broke", code=101)
    wait_until(lambda: cluster.states("one") == ["Delivered"] == cluster.states("panics"), "both")
    assert [b["pod"] for b in one.bodies()] == ["a-1"]
    assert [b["pod"] for b in panics.bodies()] == ["b-1"]


@pytest.mark.parametrize("trouble", [
    500, 503, 408, (429, {"Retry-After": "1"}), (403, {"Retry-After": "1"}), "reset"],
    ids=["500", "503", "408", "429", "403", "reset"])
def test_trouble_that_passes(cluster, serve, observe, trouble):
    server = serve()
    server.actions.extend([trouble, trouble])
    observer = observe(webhook(server))
    cluster.end("writer-1")
    wait_until(lambda: cluster.states("hook") == ["Delivered"], "the third attempt")
    assert len(server.attempts) == 3 and len(server.accepted) == 1
    times = [time for time, _ in server.attempts]
    if isinstance(trouble, tuple):
        assert times[1] - times[0] >= 1
    entry, = [e for s in cluster.statuses.values() for e in s["notifications"]
              if e["receiver"] == "hook"]
    assert entry["attempts"] == 3
    assert len(observer.lines("a receiver cannot be notified, trying again")) == 1
    assert len(observer.lines("a receiver accepts notifications again")) == 1
    assert observer.metric('lastword_notifications_total{receiver="hook",result="retried"}') == 2


def test_it_stops_and_starts_again(cluster, serve, observe):
    server = serve()
    observer = observe(webhook(server))
    cluster.end("writer-1")
    wait_until(lambda: cluster.states("hook") == ["Delivered"], "the first")
    port = server.server_address[1]
    server.stop()
    cluster.end("writer-2")
    wait_until(lambda: observer.lines("a receiver cannot be notified, trying again"), "it to be missed")
    assert cluster.states("hook") == ["Delivered", "Pending"]
    waiting = lambda: [e for s in cluster.statuses.values() for e in s["notifications"]  # noqa: E731
                       if e["receiver"] == "hook" and e.get("message")]
    wait_until(waiting, "the record to say why it waits")
    entry, = waiting()
    assert entry["state"] == "Pending" and entry["attempts"] >= 1 and server.url not in str(entry)
    again = serve(port=port)
    wait_until(lambda: cluster.states("hook") == ["Delivered"] * 2, "the second")
    assert [b["pod"] for b in server.bodies() + again.bodies()] == ["writer-1", "writer-2"]
    assert not waiting()


@pytest.mark.parametrize("status", [400, 401, 404, 413, 302])
def test_a_refusal_is_not_repeated(cluster, serve, observe, status):
    server = serve(status=(status, {"Location": "http://127.0.0.1:1/elsewhere"}))
    observer = observe(webhook(server))
    cluster.end("writer-1")
    wait_until(lambda: cluster.states("hook") == ["Failed"], "the status")
    cluster.end("writer-2")
    wait_until(lambda: cluster.states("hook") == ["Failed"] * 2, "the status")
    assert len(server.attempts) == 2
    assert observer.metric('lastword_receiver_dropped_total{receiver="hook"}') == 2
    line, *_ = observer.lines("a receiver refuses a notification")
    assert (line["receiver"], line["error"]) == ("hook", f"status {status}")


def test_one_bad_notification_of_a_batch(cluster, serve, observe):
    """What the receiver dislikes fails alone; the others of the same request are delivered."""
    def check(notification):
        return "bad" if b"writer-2" in notification.content else None
    server = serve(status=503, check=check)
    observe({"name": "otel", "type": "otlp", "url": server.url})
    for number in range(5):
        cluster.end(f"writer-{number}")
    wait_until(lambda: len(cluster.states("otel")) == 5, "the records")
    server.action = 200
    wait_until(lambda: sorted(cluster.states("otel")) == ["Delivered"] * 4 + ["Failed"], "each alone")


def test_tls(tmp_path, cluster, serve, observe):
    good, wrong_name, plain = serve(certificate=Certificate()), serve(
        certificate=Certificate("example.com")), serve()
    (tmp_path / "ca.pem").write_text((tmp_path / "receiver.crt").read_text())
    ca = str(tmp_path / "ca.pem")
    good_ca = tmp_path / "good.pem"
    good_ca.write_text(good.chain)
    observer = observe(webhook(good, name="good", caFile=str(good_ca)),
                       webhook(good, name="untrusted"),
                       webhook(wrong_name, name="wrong", caFile=ca),
                       webhook(plain, name="plain", url=plain.url.replace("http:", "https:")))
    cluster.end("writer-1")
    wait_until(lambda: cluster.states("good") == ["Delivered"], "the good one")
    failing = "a receiver cannot be notified, trying again"
    wait_until(lambda: len(observer.lines(failing)) == 3, "the others")
    assert {line["receiver"] for line in observer.lines(failing)} == {"untrusted", "wrong", "plain"}
    assert not wrong_name.attempts and not plain.attempts


def test_no_secret_is_anywhere(tmp_path, cluster, serve, observe):
    """Whatever goes wrong, and though the receiver repeats it."""
    secrets = {name: f"{name}-0f9e8d7c6b5a" for name in ("path", "token", "header", "parameter")}
    for name in ("token", "header", "parameter"):
        (tmp_path / name).write_text(secrets[name] + "\n")
    servers = [serve(), serve(status=400), serve(status=500), serve(status="reset")]
    receivers = []
    for number, server in enumerate(servers):
        url = tmp_path / f"url-{number}"
        url.write_text(f"{server.url}/{secrets['path']}?key={secrets['path']}\n")
        receivers.append({
            "name": f"hook-{number}", "type": "webhook", "urlFile": str(url),
            "bearerTokenFile": str(tmp_path / "token"),
            "headers": [{"name": "X-Key", "valueFile": str(tmp_path / "header")}],
            "parameters": [{"name": "key", "valueFile": str(tmp_path / "parameter")}],
            "body": {"key": "{{parameters.key}}", "text": "{{title}}"}})
    broken = tmp_path / "url-broken"
    broken.write_text(f"https://user:{secrets['path']}@localhost:1/\n")
    receivers += [receivers[0] | {"name": "broken", "urlFile": str(broken)},
                  receivers[0] | {"name": "refused", "url": f"http://127.0.0.1:1/{secrets['path']}"}]
    del receivers[-1]["urlFile"]
    observer = observe(*receivers)
    cluster.end("writer-1")
    wait_until(lambda: cluster.states("hook-0") == ["Delivered"] and
               cluster.states("hook-1") == ["Failed"] and len(servers[3].attempts) > 1 and
               len(observer.lines("a receiver cannot be notified, trying again")) == 4, "attempts")
    got = servers[0].accepted[0]
    assert got.headers["Authorization"] == f"Bearer {secrets['token']}"
    assert got.headers["X-Key"] == secrets["header"] and got.body["key"] == secrets["parameter"]
    said = observer.log_file.read_text() + observer.get("/metrics")[1] + json.dumps(cluster.statuses)
    assert [s for s in secrets.values() if s in said] == []
    # Files are read for each request.
    (tmp_path / "token").write_text("another")
    cluster.end("writer-2")
    wait_until(lambda: len(servers[0].accepted) == 2, "the second")
    assert servers[0].accepted[1].headers["Authorization"] == "Bearer another"


def test_the_configuration_changes(tmp_path, cluster, serve, observe):
    one, two = serve(), serve()
    path = write_config(tmp_path, webhook(one))
    observer = observe(config=path)
    cluster.end("writer-1")
    wait_until(lambda: cluster.states("hook") == ["Delivered"], "the first")

    path.write_text(path.read_text().replace("type:", "tpye:"))
    refused = "the new configuration of receivers is refused, the last good one stays"
    wait_until(lambda: observer.lines(refused), "the refusal")
    assert "did you mean type?" in observer.lines(refused)[0]["error"]
    assert observer.metric('lastword_observer_config_reloads_total{result="failure"}') == 1
    cluster.end("writer-2")
    wait_until(lambda: cluster.states("hook") == ["Delivered"] * 2, "the last good one")

    write_config(tmp_path, webhook(two, name="other"))
    wait_until(lambda: len(observer.lines("receivers in force")) == 2, "the new one")
    cluster.end("writer-3")
    wait_until(lambda: cluster.states("other") == ["Delivered"], "the third")
    assert [b["pod"] for b in one.bodies()] == ["writer-1", "writer-2"]
    assert [b["pod"] for b in two.bodies()] == ["writer-3"]
    assert observer.metric('lastword_receiver_queue_bytes{receiver="hook"}') is None


def test_a_storm_of_one_family(cluster, serve, observe):
    """500 failures: a few notifications now, the others wait for their digest, in memory and as Pending."""
    same, other, all_of_them = serve(), serve(), serve()
    observer = observe(webhook(same), webhook(other, name="two", filter={"namespaces": ["quiet"]}),
                       {"name": "otel", "type": "otlp", "url": all_of_them.url})
    for number in range(250):
        cluster.end(f"writer-{number}", output="panic: it broke")
        cluster.end(f"chatty-{number}", family="chatty",
                    output="panic: " + "".join(chr(97 + int(d)) for d in str(number * 7919)) + " broke")
    cluster.end("calm-1", namespace="quiet", family="calm")
    wait_until(lambda: cluster.states("otel").count("Delivered") == 501, "all of them")
    wait_until(lambda: cluster.states("two") == ["Delivered"], "the other namespace")
    pods = [b["pod"].split("-")[0] for b in same.bodies()]
    assert pods.count("writer") == 3 and pods.count("chatty") == 10 and pods.count("calm") == 1
    states = cluster.states("hook")
    assert states.count("Delivered") == 14 and states.count("Pending") == 487
    assert observer.metric('lastword_receiver_queue_bytes{receiver="hook"}') < 4 * 1024 * 1024


def resident(observer):
    return observer.metric("process_resident_memory_bytes")


def test_a_rate_of_failures_with_a_dead_receiver(cluster, serve, observe):
    """Three receivers, one dead: the others get everything, memory is bounded, and what the dead one
    missed comes when it is back."""
    dead, one, two = serve(status="stall"), serve(), serve()
    observer = observe(
        {"name": "dead", "type": "loki", "url": dead.url, "timeout": "1s"},
        {"name": "one", "type": "otlp", "url": one.url},
        {"name": "two", "type": "loki", "url": two.url})
    before = resident(observer)
    count = 1000
    for number in range(count):
        cluster.end(f"writer-{number}", namespace=f"team-{number % 7}")
        if number % 20 == 19:
            time.sleep(0.1)  # 200 a second
    wait_until(lambda: cluster.states("one").count("Delivered") ==
               cluster.states("two").count("Delivered") == count, "the others", 120)
    assert cluster.states("dead") == ["Pending"] * count
    if "asan" not in BUILD.parts:
        assert resident(observer) < before + 48e6
    dead.action = 204
    dead.released.set()
    wait_until(lambda: cluster.states("dead").count("Delivered") == count, "what it missed", 120)
    lines = [json.loads(v[1])["pod"] for b in dead.bodies() for s in b["streams"] for v in s["values"]]
    assert len(set(lines)) == count
