"""Each type of receiver and each preset sends what its service documents, for agents whose output tries to
break it."""
import json

import pytest

import receiver_formats as formats
from receiver_server import ReceiverServer
from test_receivers import cluster, observe, serve  # noqa: F401
from waiting import wait_until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVIL = ('panic: "\\" <!channel> <@U123> @everyone @octocat & ``` ```` {{payloadSnippet}} '
        '\x1b[31m\u202e\u2028 </script> \ufffd\u00e9\u4e2d \x00\x01 ' + "x" * 400)


def settings(folder, servers):
    (folder / "key").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "token").write_text("github-token")
    (folder / "slack").write_text(servers["slack"].url + "/services/T0/B0/secret\n")
    url = {name: server.url for name, server in servers.items()}
    resolved = {"filter": {"resolved": True}}
    labels = {"labels": {"cluster": "west"}}
    return [
        {"name": "slack", "type": "webhook", "preset": "slack", "urlFile": str(folder / "slack"),
         **resolved},
        {"name": "teams", "type": "webhook", "preset": "teams", "url": url["teams"], **resolved},
        {"name": "pagerduty", "type": "webhook", "preset": "pagerduty", "url": url["pagerduty"],
         "parameters": [{"name": "routingKey", "valueFile": str(folder / "key")}], **resolved},
        {"name": "github", "type": "webhook", "preset": "github-issue",
         "url": url["github"] + "/repos/me/it/issues", "bearerTokenFile": str(folder / "token")},
        {"name": "otlp", "type": "otlp", "url": url["otlp"] + "/v1/logs", **labels, **resolved},
        {"name": "loki", "type": "loki", "url": url["loki"] + "/loki/api/v1/push", **labels,
         "headers": [{"name": "X-Scope-OrgID", "value": "agents"}], **resolved},
        {"name": "alertmanager", "type": "alertmanager", "url": url["alertmanager"] + "/api/v2/alerts",
         **labels},
        {"name": "structured", "type": "cloudevents", "url": url["structured"], **resolved},
        {"name": "binary", "type": "cloudevents", "mode": "binary", "url": url["binary"], **resolved},
    ]


CHECKS = {"slack": formats.slack, "teams": formats.teams, "pagerduty": formats.pagerduty,
          "github": formats.github, "otlp": formats.otlp, "loki": formats.loki,
          "alertmanager": formats.alertmanager, "structured": formats.cloudevents_structured,
          "binary": formats.cloudevents_binary}


@pytest.fixture
def servers(serve):  # noqa: F811
    return {name: serve(check=check, status=204 if name == "loki" else 200)
            for name, check in CHECKS.items()}


def bodies(servers, name):
    return servers[name].bodies()


def test_every_format(tmp_path, cluster, observe, servers):  # noqa: F811
    configured = settings(tmp_path, servers)
    observe(*configured)
    cluster.end("writer-1", code=101, output=EVIL)
    wait_until(lambda: all(cluster.states(name) == ["Delivered"] for name in CHECKS),
               lambda: str({n: (cluster.states(n), servers[n].problems) for n in CHECKS}))
    cluster.end("writer-2", code=0)
    others = [name for name in CHECKS if name != "github"]
    wait_until(lambda: all(cluster.states(name) == ["Resolved"] for name in others),
               lambda: str({n: (cluster.states(n), servers[n].problems) for n in CHECKS}))
    assert not [server.problems for server in servers.values() if server.problems]

    issue, = bodies(servers, "github")
    assert issue["title"] == "Panic: rex in agents/writer-1"
    assert servers["github"].accepted[0].headers["Authorization"] == "Bearer github-token"
    firing, over = bodies(servers, "pagerduty")
    assert (firing["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert firing["dedup_key"] == over["dedup_key"]
    assert "Resolved: Panic" in bodies(servers, "slack")[1]["text"]
    assert servers["slack"].accepted[0].path == "/services/T0/B0/secret"
    assert servers["loki"].accepted[0].headers["X-Scope-OrgID"] == "agents"


def test_what_logs_say(tmp_path, cluster, observe, servers):  # noqa: F811
    observe(*settings(tmp_path, servers))
    cluster.end("writer-1", code=101, output="panic: no route\n", context={"traceparent": TRACE})
    wait_until(lambda: all(cluster.states(name) == ["Delivered"] for name in CHECKS), "all")
    (resource, record, attributes), = formats.otlp_logs(bodies(servers, "otlp")[0])
    assert resource == {"service.name": "rex", "k8s.namespace.name": "agents",
                        "k8s.pod.name": "writer-1", "k8s.pod.uid": "00000000-aaaa",
                        "k8s.node.name": "node1", "k8s.container.name": "main",
                        "k8s.container.restart_count": 0, "cluster": "west"}
    assert (record["severityNumber"], record["severityText"]) == (17, "ERROR")
    assert (record["traceId"], record["spanId"], record["flags"]) == (
        "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)
    assert attributes["process.exit.code"] == 101
    assert attributes["exception.type"] == "Panic"
    assert attributes["exception.message"] == "panic: no route"
    stream, = bodies(servers, "loki")[0]["streams"]
    assert stream["stream"] == {"job": "lastword", "namespace": "agents", "cluster": "west"}
    line = json.loads(stream["values"][0][1])
    assert line["errorType"] == "Panic" and line["exitCode"] == 101 and line["silent"] is False
    alert, = bodies(servers, "alertmanager")[0]
    assert alert["labels"]["alertname"] == "LastwordAgentFailed"
    assert alert["labels"]["cluster"] == "west" and alert["labels"]["cause"] == "Panic"
    assert alert["annotations"]["snippet"] == "panic: no route"
    assert alert["annotations"]["command"] == "kubectl lastword why -n agents writer-1"
    event, = bodies(servers, "structured")
    assert event["type"] == "dev.lastword.agentexit.failed"
    assert event["id"] == "00000000-aaaa.main.0" and event["data"]["pod"] == "writer-1"
    headers = servers["binary"].accepted[0].headers
    assert headers["ce-id"] == event["id"] and bodies(servers, "binary")[0] == event["data"]


def test_a_receiver_that_wants_more_than_it_gets_is_noticed():
    """The checks themselves refuse what the services would."""
    server = ReceiverServer()
    try:
        class Wrong:
            headers, path, content = {"Content-Type": "application/json"}, "/", b"{}"
        for body, check in [({"text": "<!here>", "blocks": [{"type": "section", "text": {
                "type": "mrkdwn", "text": "<!here>"}}]}, formats.slack),
                            ({"streams": [{"stream": {"a": "b"}, "values": [[1, "{}"]]}]}, formats.loki),
                            ([], formats.alertmanager)]:
            Wrong.body = body
            assert check(Wrong)
    finally:
        server.stop()
