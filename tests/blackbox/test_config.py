"""`lastword check`: good configurations are taken; of bad ones the first mistake is named with file,
line, column, key and what was expected."""
import copy
import json
import pathlib
import re
import subprocess

import pytest
import yaml

from webhook_process import BUILD, ROOT

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
BAD = yaml.safe_load((DATA / "config/bad.yaml").read_text())
GOOD = yaml.safe_load((DATA / "config/reviews.yaml").read_text().replace("MODE", "auto"))


def check(path):
    return subprocess.run([BUILD / "bin/lastword", "check", "-c", path], capture_output=True,
                          text=True, timeout=60)


def change(config, changes):
    config = copy.deepcopy(config)
    for path, value in changes.items():
        *parents, last = path.split(".")
        node = config
        for key in parents:
            node = node[key]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return config


def test_good(tmp_path):
    for path in (ROOT / "manifests/base/config.yaml", tmp_path / "good.yaml"):
        (tmp_path / "good.yaml").write_text(yaml.safe_dump(GOOD))
        done = check(path)
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(rf"{path}: ok, \d+ rules, config [0-9a-f]{{16}}\n", done.stdout)


def test_an_unknown_key_is_shown_where_it_stands(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("apiVersion: lastword.dev/v1alpha1\nkind: Config\nsidecar:\n  image: x\n"
                    "  ringsize: 64Ki\n")
    assert re.fullmatch(rf'lastword check: {path}: line 5, column 3: sidecar: unknown key "ringsize", '
                        r"expected one of image, (\w+, )+\w+; did you mean ringSize\?\n",
                        check(path).stderr)


def test_standard_input():
    text = (ROOT / "manifests/base/config.yaml").read_text()
    for changed, status in ((text, 0), (text + "rules: []\n", 1)):
        done = subprocess.run([BUILD / "bin/lastword", "check", "-c", "-"], input=changed,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == status
        assert (done.stdout + done.stderr).startswith("-: ok, " if status == 0 else
                                                      "lastword check: -: line ")


@pytest.mark.parametrize("case,rule,agents", [
    ("001-create-pods-argo-determine-resume-point", "argo-workflows", {"main": "applied"}),
    ("002-create-pods-coderun-job", "coding-agents", {"factory-claude-opus-4-5-20251101": "applied"}),
    ("003-create-pods-tekton-taskrun", "tekton", {"step-build": "applied"}),
    ("004-create-pods-airflow-kpo", "airflow", {"base": "applied"}),
    ("005-create-pods-gitlab-runner", "gitlab-runner", {"build": "applied", "helper": "applied"}),
    ("006-create-pods-arc-native-dind", "github-runners", {"runner": "applied"}),
    ("007-create-pods-deployment-istio", "agents", {"api": "applied"}),
    ("036-create-pods-three-agents", "agents",
     {"planner": "applied", "coder": "applied", "critic": "no-command"}),
    ("051-create-pods-cronjob-entrypoint", "agents", {"report": "no-command"}),
    ("043-create-pods-not-an-agent", None, None)])
def test_the_shipped_configuration_is_good_for_the_field(case, rule, agents):
    """Recorded pods of Argo, coding-agent Jobs, Tekton, Airflow, GitLab, ARC, plain ones."""
    done = subprocess.run(
        [BUILD / "bin/lastword", "explain", "-c", ROOT / "manifests/base/config.yaml", "-f",
         DATA / f"reviews/{case}.json"], capture_output=True, text=True, timeout=60)
    record = json.loads(done.stdout)
    assert record.get("rule") == rule
    if agents:
        assert {c["name"]: c["skipped"].get("command", "applied") for c in record["containers"]} == agents


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad["says"])
def test_bad(tmp_path, bad):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(change(GOOD, bad["change"]), sort_keys=False))
    done = check(path)
    assert done.returncode == 1 and done.stdout == ""
    assert re.match(rf"lastword check: {path}: line \d+, column \d+: ", done.stderr), done.stderr
    assert bad["says"] in done.stderr


def test_the_place_is_right(tmp_path):
    path = tmp_path / "config.yaml"
    text = (DATA / "config/reviews.yaml").read_text().replace("mode: MODE", "mode: sometimes")
    path.write_text(text)
    line = next(i for i, l in enumerate(text.splitlines(), 1) if "sometimes" in l)
    assert f"{path}: line {line}, column 9: sidecar.mode: expected" in check(path).stderr


@pytest.mark.parametrize("text,says", [
    ("a: [", "line 2, column 1"), ("a: 1\na: 2", "line 2, column 1: key given twice: a"),
    ("", "expected one document, got 0"), ("a: 1\n---\nb: 2\n", "expected one document, got 2"),
    ("- 1", "line 1, column 1: expected a mapping"), ("x" * 1100000, "expected at most")],
    ids=["unclosed", "twice", "empty", "two", "a list", "large"])
def test_not_a_configuration(tmp_path, text, says):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    done = check(path)
    assert done.returncode == 1 and says in done.stderr and str(path) in done.stderr


def test_not_utf8(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"kind: \xff")
    assert "byte 6: not UTF-8" in check(path).stderr


def test_every_key_is_documented():
    """Documentation and code name the same keys: those of the tables of fields."""
    source = "".join((ROOT / f"{name}.c").read_text() for name in (
        "webhook/config", "webhook/sidecar_config", "observer/receiver/receiver_config"))
    keys = set(re.findall(r'^\s*\{"(\w+)", decode_\w+,', source, re.M))
    assert len(keys) > 30
    reference = (ROOT / "docs/configuration.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", reference, re.M))
    assert keys == documented
