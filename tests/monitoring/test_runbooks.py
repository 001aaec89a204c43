"""Rules, dashboard, runbooks, documents and code say the same."""
import re
import shlex
import subprocess

import pytest
import yaml
from webhook_process import BUILD, ROOT

from rules import (ALERTS, DASHBOARD, DOCUMENTS, FOLDER, RECORDED, RULES, RUNBOOKS, code_metrics,
                   dashboard_expressions, metric_of, names_in, panels)

TEXT = (ROOT / "docs/monitoring.md").read_text()
NAMES = [alert["alert"] for alert in ALERTS]
BASE = re.search(r"begins with `(\S+)`", TEXT).group(1)


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_says_what_to_do(alert):
    annotations = alert["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert alert["alert"].startswith("Lastword")
    assert set(alert["labels"]) == {"severity"}
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert len(annotations["summary"]) < 130 and annotations["summary"].endswith(".")
    assert "kubectl lastword why POD" in annotations["description"]
    # Whoever creates pods chooses their names: a command that is typed has none of them.
    for command in re.findall(r'"(kubectl[^"]*|lastword[^"]*)"', annotations["description"]):
        assert set(re.findall(r"\$\w+(?:\.\w+)?", command)) <= {"$labels.namespace"}, command
    assert annotations["runbook_url"] == f"{BASE}{alert['alert']}.md"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    assert {path.stem for path in RUNBOOKS.iterdir()} == set(NAMES)
    for path in RUNBOOKS.iterdir():
        text = path.read_text()
        assert text.startswith(f"# {path.stem}\n")
        assert re.findall("^## (.*)$", text, re.M) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
        assert "kubectl lastword" in text
        for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
            assert (RUNBOOKS / link).is_file(), link


def commands():
    """What is to be typed: ["exits", "-A", …]"""
    texts = [path.read_text() for path in RUNBOOKS.iterdir()]
    texts += [alert["annotations"]["description"] for alert in ALERTS]
    for text in texts:
        for words in re.findall(r'kubectl lastword ([^`"\n]+)', text):
            words = re.sub(r"\{\{[^}]*\}\}|NAMESPACE", "agents", words).replace("FILE", "/dev/null")
            yield tuple(shlex.split(words))


def test_the_commands_are_understood(tmp_path):
    """Exit status 2 is wrong usage; 1 is that there is no such record."""
    records = tmp_path / "records.json"
    records.write_text('{"kind": "AgentExitList", "apiVersion": "lastword.dev/v1alpha1", "items": []}')
    found = {words for words in commands() if words[1:] and words[0] in ("exits", "why")}
    assert len(found) > 8 and {words[0] for words in commands()} <= {"exits", "why", "breaker"}
    for words in found:
        done = subprocess.run([BUILD / "bin/lastword", *words, "-f", records], capture_output=True,
                              text=True, timeout=60)
        expected = (0,) if words[0] == "exits" else (1,)
        assert done.returncode in expected, (words, done.stderr)


def test_every_alert_is_documented_with_its_severity():
    severities = {}
    for alert in ALERTS:
        severities.setdefault(alert["alert"], []).append(alert["labels"]["severity"])
    table = TEXT[TEXT.index("## Alerts"):TEXT.index("`critical` is")]
    assert severities == {name: found.split(", ") for name, found in re.findall(
        r"^\| \[(\w+)\]\(runbooks/\1\.md\) \| ([a-z, ]+) \|", table, re.M)}


def test_every_recorded_series_is_documented():
    table = TEXT[TEXT.index("## Recorded series"):]
    assert set(RECORDED) == set(re.findall(r"`(namespace_\S+?)`", table))


def known(name):
    return {name, metric_of(name)} & (code_metrics() | {"up"})


def test_every_metric_that_is_used_exists():
    """In the code, or among the recorded series; and in the documents."""
    documents = "".join(path.read_text() for path in DOCUMENTS)
    used = set()
    for expression in [r["expr"] for r in RULES] + [e for _, e in dashboard_expressions()]:
        names = names_in(expression)
        assert names, expression
        used |= names
    for name in used - set(RECORDED):
        assert known(name), f"{name} is no metric"
        assert name == "up" or f"`{name}" in documents or f"`{metric_of(name)}" in documents, name
    assert len(used) > 40
    variables = [v["definition"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
    assert all(known(n) for v in variables for n in re.findall(r"lastword_\w+", v)) and variables


def test_the_dashboard_is_one():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) and DASHBOARD["uid"] == "lastword"
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"] and panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}" and target["legendFormat"]


def test_the_kustomization_has_all_files():
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    generator, = kustomization["configMapGenerator"]
    assert generator["options"]["labels"] == {"grafana_dashboard": "1"}
    assert {*kustomization["resources"], *generator["files"], "kustomization.yaml"} == \
        {path.name for path in FOLDER.iterdir()}


def deployments():
    for name in ("webhook", "observer"):
        for manifest in yaml.safe_load_all((ROOT / f"manifests/base/{name}.yaml").read_text()):
            if manifest["kind"] == "Deployment":
                yield manifest["spec"]["template"]


def test_the_pod_monitor_selects_webhook_and_observer():
    spec = yaml.safe_load((FOLDER / "pod-monitor.yaml").read_text())["spec"]
    expression, = spec["selector"]["matchExpressions"]
    endpoint, = spec["podMetricsEndpoints"]
    assert expression["operator"] == "In" and endpoint["honorLabels"]
    jobs = set()
    for template in deployments():
        labels = template["metadata"]["labels"]
        assert labels[expression["key"]] in expression["values"]
        ports = [p["name"] for c in template["spec"]["containers"] for p in c["ports"]]
        assert endpoint["port"] in ports
        jobs.add(labels[spec["jobLabel"]])
    assert jobs == {"lastword-webhook", "lastword-observer"} == set(expression["values"])
    used = [e for e in [r["expr"] for r in RULES] + [e for _, e in dashboard_expressions()]
            if "job=" in e]
    assert used and all('job=~"lastword-(webhook|observer)"' in e for e in used)
