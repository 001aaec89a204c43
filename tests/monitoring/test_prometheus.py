"""A real Prometheus scrapes the real webhook and two observers while agents run, fail and are silent, and
evaluates every expression of the rules and the dashboard; a real Alertmanager sends what fires. The
programs' API server is that of the observer's tests."""
import contextlib
import json
import re
import subprocess
import time
import types

import pytest
import unwrapped
import yaml
from certificate import Certificate
from cluster import Cluster, Observer
from waiting import wait_until
from webhook_process import ROOT, Webhook

from agents import NAMESPACE, Agents
from rules import ALERTS, FOLDER, RULES, dashboard_expressions, rule_groups
from servers import Alertmanager, Notified, Prometheus

REVIEWS = [(ROOT / "tests/data/reviews" / name).read_bytes() for name in (
    "001-create-pods-argo-determine-resume-point.json", "002-create-pods-coderun-job.json",
    "013-create-pods-host-network.json", "019-create-pods-bare.json")]
QUICK = ("--failover-delay", "1s", "--silent-after", "1s", "--start-timeout-failing", "1s")
POD_MONITOR = yaml.safe_load((FOLDER / "pod-monitor.yaml").read_text())["spec"]

# Alerts whose condition no test can make the real programs meet within seconds; of these what is
# compared must be there. (tests/data/monitoring/alerts.yaml has them fire.)
NOT_MET = {
    "LastwordWebhookSlow",       # the webhook is not
    "LastwordWatchStale",        # takes five minutes
    "LastwordObserverNoLeader",  # there is one
    "LastwordWebhookAbsent", "LastwordObserverAbsent",  # both are there
}


def scrape_configs(addresses):
    """As the Prometheus Operator makes them of the PodMonitor: jobs, labels of the target, and whose
    labels win. One replica of the webhook does not answer."""
    endpoint, = POD_MONITOR["podMetricsEndpoints"]
    return [{"job_name": job, "honor_labels": endpoint["honorLabels"], "static_configs": [
        {"targets": [address], "labels": {"namespace": "lastword-system", "pod": f"{job}-{i}",
                                          "container": job.removeprefix("lastword-")}}
        for i, address in enumerate(targets)]} for job, targets in addresses.items()]


def write_history(folder):
    """What would have been recorded in three hours until an hour ago: of runs of a minute that need
    50 MB, twelve an hour. Prometheus' own format on disk, by promtool."""
    end = int(time.time()) - 3900
    lines = []
    for metric, mean in (("run_duration_seconds", 60), ("max_rss_bytes", 50e6)):
        for part, value in (("sum", 12 * mean), ("count", 12)):
            name = f"namespace_agent:lastword_agent_{metric}_{part}:increase1h"
            lines.append(f"# TYPE {name} gauge")
            lines += [f'{name}{{namespace="{NAMESPACE}",agent="coder"}} {value} {at}'
                      for at in range(end - 3 * 3600, end, 300)]
    (folder / "history").write_text("\n".join([*lines, "# EOF", ""]))
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", "history", "data"],
                   cwd=folder, check=True, capture_output=True, timeout=60)


def write_configuration(folder, addresses, alertmanager):
    write_history(folder)
    # As shipped, but for the five minutes between two evaluations of the history.
    (folder / "rules.yml").write_text(yaml.safe_dump(rule_groups(interval=None)))
    (folder / "prometheus.yml").write_text(yaml.safe_dump({
        "global": {"scrape_interval": "400ms", "evaluation_interval": "400ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": scrape_configs(addresses),
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
    }))


def start_webhook(folder):
    config = (ROOT / "tests/data/config/reviews.yaml").read_text().replace("MODE", "classic")
    return Webhook(folder, config, Certificate(days=1))


def write_receivers(folder, alertmanager, people, refusing):
    """Alertmanager itself, somebody who takes notifications, one who refuses them, and nobody."""
    def webhook(name, url):
        return {"name": name, "type": "webhook", "preset": "generic", "url": url}
    path = folder / "observer.yaml"
    path.write_text(yaml.safe_dump({
        "apiVersion": "lastword.dev/v1alpha1", "kind": "ObserverConfig", "receivers": [
            {"name": "alertmanager", "type": "alertmanager", 
             "url": f"http://{alertmanager}/api/v2/alerts"},
            webhook("people", people), webhook("refusing", refusing),
            webhook("nobody", "http://127.0.0.1:1/")]}))
    return path


def start_observer(folder, cluster, name, receivers):
    observer = Observer(folder, cluster, name, "--webhook-config", unwrapped.write_config(folder),
                        "--config", receivers, "--breaker", "lastword-system/lastword-breaker", *QUICK)
    if name == "leader":
        wait_until(lambda: observer.metric("lastword_observer_leader") == 1, "it to lead")
    wait_until(lambda: observer.get("/readyz")[0] == 200, "it to be ready")
    return observer


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """All of it, with what happens in a busy hour."""
    def folder(name):
        return tmp_path_factory.mktemp(name)

    w = types.SimpleNamespace()
    with contextlib.ExitStack() as stops:  # each is stopped, whatever fails

        def stopped(server):
            stops.callback(server.stop)
            return server

        w.notified = stopped(Notified())
        w.cluster = stopped(Cluster(folder("cluster"), [], []))
        w.webhook = stopped(start_webhook(folder("webhook")))
        w.people, w.refusing = stopped(Notified()), stopped(Notified(status=400))
        w.alertmanager = stopped(Alertmanager(folder("alertmanager"), w.notified.url))
        receivers = write_receivers(folder("receivers"), w.alertmanager.address, w.people.url,
                                    w.refusing.url)
        w.cluster.opt_in(NAMESPACE)
        w.observer = stopped(start_observer(folder("observer"), w.cluster, "leader", receivers))
        w.other = stopped(start_observer(folder("observer"), w.cluster, "other", receivers))
        prometheus = folder("prometheus")
        write_configuration(prometheus, {
            "lastword-webhook": [f"127.0.0.1:{w.webhook.metrics_port}", "127.0.0.1:1"],
            "lastword-observer": [w.observer.address, w.other.address]}, w.alertmanager.address)
        w.prometheus = stopped(Prometheus(prometheus))
        w.agents = Agents(w.cluster, folder("agents"))
        happen(w)
        yield w


def wait_scraped(w):
    """Two scrapes of each program after what has happened by now."""
    for pod in ("lastword-webhook-0", "lastword-observer-0", "lastword-observer-1"):
        up = f'sum_over_time(up{{pod="{pod}"}}[1h])'
        before = sum(value for _, value in w.prometheus.query(up))
        wait_until(lambda: sum(v for _, v in w.prometheus.query(up)) >= before + 2, "scrapes")


def wait_observed(w):
    """By both replicas: the other one looks whether the leader has written."""
    for name in ("open_terminations", "pending_records"):
        for observer in (w.observer, w.other):
            wait_until(lambda: observer.metric(f"lastword_observer_{name}") == 0, name)


def lose_a_record_and_an_event(w):
    """The API server calls a record invalid, and refuses Events."""
    wait_observed(w)  # of others nothing is lost
    lost = w.observer.metric("lastword_observer_lost_records_total")
    w.cluster.refuse[("POST", "agentexits")] = (422, "Invalid")
    w.agents.run("unlucky", 1)
    wait_until(lambda: w.observer.metric("lastword_observer_lost_records_total") > lost, "a loss")
    w.cluster.refuse.clear()
    w.cluster.refuse[("POST", "/events")] = (403, "Forbidden")
    w.agents.run("unlucky", 2)
    wait_observed(w)
    w.cluster.refuse.clear()


def one_batch(w):
    """Some of everything; after the second time each counter has risen while it was watched."""
    for review in REVIEWS:
        assert w.webhook.post("/mutate", review)[0] == 200
    assert w.webhook.post("/mutate", b"{}")[0] == 400
    agents = w.agents
    agents.overrun("slow")
    agents.delete_unwatched("forgotten")
    silent = agents.fail_silently("resume")
    for _ in range(2):
        agents.run("coder", max_rss_bytes=200_000_000, cpu_seconds=2.5, reports_lost=2)
        agents.run("nightly", 101)
    agents.run("nightly", 101, message="something else\n", fingerprint="fedcba9876543210")
    lose_a_record_and_an_event(w)
    wait_until(lambda: silent_pods(w) == {"resume"}, "silence")
    agents.end_sidecar(silent)
    wait_until(lambda: not silent_pods(w), "the end of silence")
    wait_observed(w)


def silent_pods(w):
    """The agents that have some, in the eyes of both replicas."""
    pattern = rf'lastword_silent_pods{{namespace="{NAMESPACE}",agent="(\w+)"}} [1-9]'
    one, other = (set(re.findall(pattern, observer.get("/metrics")[1]))
                  for observer in (w.observer, w.other))
    return one if one == other else {"not", "alike"}


def happen(w):
    w.agents.pod("forgotten", inject=False)
    w.agents.cannot_start("stuck")
    one_batch(w)
    wait_scraped(w)
    one_batch(w)
    w.webhook.config_file.write_text("kind: Nonsense\n")
    failures = 'lastword_config_reloads_total{result="failure"}'
    wait_until(lambda: w.webhook.metric(failures) > 0, "the refusal")
    # Three failures in a row with one fingerprint, and two agents that are silent now.
    for _ in range(3):
        w.agents.run("nightly", 101)
    w.silent = [w.agents.fail_silently("resume"), w.agents.fail_silently("planner")]
    wait_until(lambda: silent_pods(w) == {"resume", "planner"}, "silence")
    wait_until(lambda: w.observer.metric(f'lastword_breaker_open{{namespace="{NAMESPACE}"}}') == 1,
               "the breaker to open")
    overrun = f'lastword_agent_reports_total{{namespace="{NAMESPACE}",event="deadline"}}'
    wait_until(lambda: w.observer.metric(overrun), "the report of a deadline that is past")
    wait_observed(w)
    wait_scraped(w)


def values(w, expression):
    """Those that are numbers. None at all: the expression says nothing."""
    return [value for _, value in w.prometheus.query(expression) if value == value]


def operands(expression):
    """The series that it selects, with their matchers."""
    return [name + matchers for name, matchers in
            re.findall(r"\b((?:lastword|namespace_agent)[\w:]*|up)(\{[^}]*\})?", expression)]


def test_every_expression_of_the_dashboard_shows_something(world):
    empty = [(title, expression) for title, expression in dashboard_expressions()
             if not values(world, expression)]
    assert not empty


def test_every_recorded_series_is_there(world):
    for rule in RULES:
        if "record" in rule:
            assert values(world, rule["expr"]), rule["record"]
            assert values(world, rule["record"]), rule["record"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: f"{a['alert']}-{a['labels']['severity']}")
def test_every_alerts_condition_is_met_or_judges_something(world, alert):
    name, expression = alert["alert"], alert["expr"]
    if name in NOT_MET:
        assert not world.prometheus.query(expression)
        assert all(values(world, operand) for operand in operands(expression)) and operands(expression)
    else:
        assert values(world, expression)


def test_prometheus_evaluates_all_rules_well(world):
    groups = world.prometheus.get("/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}


def test_the_texts_of_alerts_name_what_they_are_about(world):
    alerts = world.prometheus.get("/api/v1/alerts")["data"]["alerts"]
    assert len({alert["labels"]["alertname"] for alert in alerts}) > 8
    for alert in alerts:
        text = json.dumps(alert["annotations"])
        assert "kubectl lastword why POD" in text
        assert not re.search("no value|<error|%!|NaN", text), text
        if alert["labels"].get("agent"):
            assert f"-n {NAMESPACE}" in text and alert["labels"]["agent"] in text


def test_both_replicas_see_the_last_runs(world):
    """What one of them has seen does not depend on which one wrote the record."""
    for name in ("last_success_timestamp_seconds", "last_failure_timestamp_seconds",
                 "repeated_failures"):
        seen = {}
        for labels, value in world.prometheus.query(f"lastword_agent_{name}"):
            seen.setdefault(labels["agent"], []).append(value)
        assert len(seen) > 0 and all(len(v) == 2 for v in seen.values()), (name, seen)
        # A run that never started ended when its observer gave it up.
        assert all(one == other for agent, (one, other) in seen.items() if agent != "stuck"), (name, seen)


def test_a_metrics_namespace_is_the_agents(world):
    """honorLabels: not that of lastword's own pods."""
    labels = [labels for labels, _ in world.prometheus.query("lastword_agent_runs_total")]
    assert {one["namespace"] for one in labels} == {NAMESPACE}
    assert not any(name.startswith("exported_") for one in labels for name in one)
    own = [labels for labels, _ in world.prometheus.query("lastword_observer_leader")]
    assert [one["namespace"] for one in own] == 2 * ["lastword-system"]


def states(messages):
    """{agent: state} of the last message."""
    return {a["labels"]["agent"]: a["status"] for a in messages[-1]["alerts"]} if messages else {}


def test_silent_agents_are_sent_as_a_group_and_resolve(world):
    w, name = world, "LastwordAgentSilent"
    both = {"resume": "firing", "planner": "firing"}
    wait_until(lambda: states(w.notified.about(name)) == both, lambda: f"{w.notified.about(name)}")
    message = w.notified.about(name)[-1]
    assert message["groupLabels"] == {"alertname": name, "namespace": NAMESPACE}
    assert message["commonAnnotations"]["runbook_url"].endswith(f"/{name}.md")
    w.agents.end_sidecar(w.silent[0])  # the pod ends
    wait_until(lambda: states(w.notified.about(name)).get("resume") == "resolved",
               lambda: f"{w.notified.about(name)}")
    assert {one["agent"] for one in w.prometheus.firing(name)} == {"planner"}
    w.agents.delete(w.silent[1])
    wait_until(lambda: w.notified.about(name)[-1]["status"] == "resolved",
               lambda: f"{w.notified.about(name)}")
    assert states(w.notified.about(name))["planner"] == "resolved"
    assert not w.prometheus.firing(name)


def test_a_repeated_failure_resolves_with_the_next_success(world):
    w, name = world, "LastwordAgentRepeatedFailure"
    wait_until(lambda: states(w.notified.about(name)).get("nightly") == "firing",
               lambda: f"{w.notified.about(name)}")
    # The observer sends that one itself.
    wait_until(lambda: any(states([m]).get("nightly") == "firing"
                           for m in w.notified.about("LastwordAgentFailed")), "its own alert")
    w.agents.run("nightly")
    wait_until(lambda: states(w.notified.about(name)).get("nightly") == "resolved",
               lambda: f"{w.notified.about(name)}")
    assert not [one for one in w.prometheus.firing(name) if one["agent"] == "nightly"]
    wait_until(lambda: any(states([m]).get("nightly") == "resolved"
                           for m in w.notified.about("LastwordAgentFailed")), "the end of its own alert")
    last = 'lastword_agent_last_success_timestamp_seconds{agent="nightly"}'
    assert abs(w.prometheus.query(last)[0][1] - time.time()) < 600
