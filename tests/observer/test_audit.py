"""Pods that should have been injected and were not, and the configuration that says so: the real
program. (The recorded pods have no label lastword.dev/injected.)"""
import re

import unwrapped
from injected import STREAM
from test_process import QUICK, cluster, expected, observe  # noqa: F401
from waiting import wait_until

NAMESPACE = re.search('"namespace":"([^"]+)"', STREAM.read_text()).group(1)


def uninjected(observer):
    """{reason: pods}, of all namespaces."""
    found = {}
    for line in observer.get("/metrics")[1].splitlines():
        match = re.match(r'lastword_uninjected_pods\{namespace="(\S+)",reason="(\S+)"\} (\d+)', line)
        if match:
            assert match.group(1) == NAMESPACE
            found[match.group(2)] = int(match.group(3))
    return found


def watch_requests(c):
    return [path for method, path in list(c.requests) if "/api/v1/pods?" in path]


def test_a_namespace_is_opted_in_and_out(cluster, observe, tmp_path):  # noqa: F811
    c = cluster("plain")
    config = unwrapped.write_config(tmp_path)
    one = observe(c, "one", "--webhook-config", config, *QUICK)
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    c.advance(40)
    c.wait_seen(40)
    # Everything is seen, and nothing of it is lastword's.
    assert all("labelSelector=&" in path for path in watch_requests(c))
    assert one.metric("lastword_observer_pods") == 0 and c.records == {} and uninjected(one) == {}
    c.opt_in(NAMESPACE)
    wait_until(lambda: c.names(), "records of what ended before")
    c.advance(len(c.events))
    wait_until(lambda: c.names() == set(expected("plain")), "the records")
    assert one.metric("lastword_observer_pods") > 0

    sent = [e for e in c.event_objects.values() if e["reason"] == "AgentPodNotInjected"]
    assert len(sent) == len({e["involvedObject"]["uid"] for e in sent}) > 0
    assert all(e["type"] == "Warning" and e["involvedObject"]["kind"] == "Pod" for e in sent)
    assert set(uninjected(one)) == {"not-injected"}
    c.opt_in(NAMESPACE, "DELETED")
    wait_until(lambda: one.metric("lastword_observer_pods") == 0, "nothing to be observed")
    assert sum(uninjected(one).values()) == 0


def test_the_configuration_changes(cluster, observe, tmp_path):  # noqa: F811
    c = cluster("plain")
    c.opt_in(NAMESPACE)
    config = unwrapped.write_config(tmp_path)
    good = config.read_text()
    config.write_text("kind: Nonsense\n")
    one = observe(c, "one", "--webhook-config", config, *QUICK)
    assert one.lines("no configuration yet")
    # What is injected would be observed all the same.
    wait_until(lambda: one.get("/readyz")[0] == 200, "it to be ready")
    c.advance(40)
    c.wait_seen(40)
    assert one.metric("lastword_observer_pods") == 0
    config.write_text(good)
    wait_until(lambda: one.metric("lastword_observer_pods") > 0, "the pods")
    config.write_text("kind: Nonsense\n")
    wait_until(lambda: one.lines("the new configuration is refused, the last good one stays"), "a word")
    assert one.metric("lastword_observer_pods") > 0
    config.write_text(good.replace("- name: all", "- name: all\n    mode: shadow"))
    wait_until(lambda: one.metric("lastword_observer_pods") == 0, "a rule in shadow mode selects none")


def test_namespaces_cannot_be_had(cluster, observe, tmp_path):  # noqa: F811
    """No right to: injected pods are observed, and it is ready."""
    c = cluster("injected")
    c.refuse[("GET", "/api/v1/namespaces?")] = (403, "Forbidden")
    one = observe(c, "one", "--webhook-config", unwrapped.write_config(tmp_path), *QUICK)
    wait_until(lambda: one.get("/readyz")[0] == 200, "it to be ready")
    c.advance(len(c.events))
    wait_until(lambda: c.names() == set(expected("injected")), "the records")
    assert uninjected(one) == {}
