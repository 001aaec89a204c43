"""promtool: the rules are valid, and each alert fires, does not fire and resolves as
tests/data/monitoring/alerts.yaml says."""
import re
import subprocess

import pytest
import yaml
from webhook_process import ROOT

from rules import ALERTS, rule_groups

CASES = yaml.safe_load((ROOT / "tests/data/monitoring/alerts.yaml").read_text())
SEVERITIES = {}
for alert in ALERTS:
    SEVERITIES.setdefault(alert["alert"], []).append(alert["labels"]["severity"])


def expand(values):
    """Each value for promtool: A*N is N times A, A+B*N are N values from A on."""
    found = []
    for value in str(values).split():
        match = re.fullmatch(r"(_|[\d.e]+)(?:\+([\d.e]+))?(?:\*(\d+))?", value)
        first, step, count = match.groups() if match else (value, None, None)
        for i in range(int(count or 1)):
            found.append(first if not step else repr(float(first) + i * float(step)))
    return " ".join(found)


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_rules(folder, alerts=None):
    """Without annotations, which promtool would compare: of these alerts, and all that is recorded."""
    groups = rule_groups()
    for group in groups["groups"]:
        group["rules"] = [{k: v for k, v in rule.items() if k != "annotations"}
                          for rule in group["rules"] if rule.get("alert") in (None, *alerts)]
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump(groups))
    return path


def test_the_rules_are_valid(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(rule_groups()))
    assert "rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(path))


def test_every_alert_has_a_case():
    """It fires in it, before that it does not, and at last it does not any more for somebody."""
    assert set(CASES) == set(SEVERITIES)
    for name, case in CASES.items():
        times = list(case["fires"].values())
        fired = [{tuple(sorted(labels.items())) for labels in at} for at in times]
        assert fired[0] == set() and any(fired), name
        for place, labels in enumerate(fired[1:-1], 1):
            for gone in labels - fired[place + 1]:
                assert all(gone not in later for later in fired[place + 1:]), name
        assert any(fired[i] - fired[-1] for i in range(len(fired))), f"{name} never resolves"


@pytest.mark.parametrize("name", CASES)
def test_it_fires_and_resolves(tmp_path, name):
    case = CASES[name]
    severity, *others = SEVERITIES[name]
    assert all(("severity" in labels) == bool(others)
               for at in case["fires"].values() for labels in at), "the severity is to be said"
    tests = {
        "rule_files": [str(write_rules(tmp_path, [name]))],
        "evaluation_interval": case["interval"],
        "tests": [{
            "interval": case["interval"],
            "input_series": [{"series": series, "values": expand(values)}
                             for series, values in case["series"].items()],
            "alert_rule_test": [{
                "eval_time": time, "alertname": name,
                "exp_alerts": [{"exp_labels": {"severity": severity, **labels}} for labels in at],
            } for time, at in case["fires"].items()],
        }],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(tests, width=1000))
    promtool("test", "rules", str(path))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: f"{a['alert']}-{a['labels']['severity']}")
def test_its_text_uses_labels_that_it_has(alert):
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    for at in CASES[alert["alert"]]["fires"].values():
        for labels in at:
            assert used <= set(labels), "the text would say <no value>"
