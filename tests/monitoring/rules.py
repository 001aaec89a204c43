"""The rules, the dashboard and what they are made of, as the tests read them."""
import json
import re

import yaml
from webhook_process import ROOT

FOLDER = ROOT / "manifests/monitoring"
RUNBOOKS = ROOT / "docs/runbooks"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GROUPS = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
DASHBOARD = json.loads((FOLDER / "lastword.json").read_text())

# A name with at least one underscore or colon that is no function, label or keyword.
NAME = re.compile(r"(?<![\w:\"$.])([a-z][a-z0-9]*(?:[_:][a-z0-9_:]+)+|up)(?![\w:(])")
NOT_METRICS = {"avg_over_time", "sum_over_time", "histogram_quantile", "group_left", "__name__"}


def without_labels(expression):
    """The expression without what stands in braces, brackets and quotes, and without by (…)."""
    return re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\b(by|on|ignoring|without) *\([^)]*\)", " ",
                  expression)


def names_in(expression):
    return {n for n in NAME.findall(without_labels(expression)) if n not in NOT_METRICS}


def metric_of(name):
    """The metric that a series of that name belongs to."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def code_metrics():
    """The names in the definitions (struct metric_definition)."""
    return {name for folder in ("webhook", "observer", "certs", "lib")
            for source in (ROOT / folder).rglob("*.c")
            for name in re.findall(r'\.name = "((?:lastword|process)_\w+)"', source.read_text())}


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def dashboard_expressions():
    """(panel's title, expression with its variables replaced as Grafana does)"""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m")
            for variable in ("namespace", "agent"):
                expression = expression.replace(f"${variable}", ".*")
            assert "$" not in expression, expression
            yield panel["title"], expression


def rule_groups(**changes):
    """What Prometheus reads as a rule file. changes: keys of groups; None leaves one out."""
    groups = [{k: v for k, v in {**group, **changes}.items() if v is not None} for group in GROUPS]
    return {"groups": groups}
