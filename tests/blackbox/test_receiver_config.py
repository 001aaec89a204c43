"""The observer's own configuration, as `lastword check` reads it."""
import re
import subprocess

import pytest
import yaml

from test_config import BUILD, ROOT

BAD = yaml.safe_load((ROOT / "tests/data/config/bad-receivers.yaml").read_text())
EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/receivers.md").read_text(), re.S)
HEAD = "apiVersion: lastword.dev/v1alpha1\nkind: ObserverConfig\n"


def check(path, text):
    path.write_text(text)
    return subprocess.run([BUILD / "bin/lastword", "check", "-c", path], capture_output=True,
                          text=True, timeout=60)


def with_receivers(receivers):
    return HEAD + yaml.safe_dump({"receivers": receivers}, allow_unicode=True)


def test_the_shipped_one(tmp_path):
    done = check(tmp_path / "c.yaml", (ROOT / "manifests/base/observer-config.yaml").read_text())
    assert re.fullmatch(r".*: ok, 0 receivers, config [0-9a-f]{16}\n", done.stdout), done.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_each_documented_example(tmp_path, example):
    assert len(EXAMPLES) >= 10
    done = check(tmp_path / "c.yaml", with_receivers(yaml.safe_load(example)))
    assert "ok, 1 receivers" in done.stdout, done.stderr


@pytest.mark.parametrize("bad", BAD, ids=[b["says"][:60] for b in BAD])
def test_bad(tmp_path, bad):
    done = check(tmp_path / "c.yaml", with_receivers(bad["receivers"]))
    assert done.returncode == 1
    assert re.search(r"c.yaml: line \d+, column \d+: ", done.stderr) and bad["says"] in done.stderr
    assert "secret" not in done.stderr


def test_bounds(tmp_path):
    path = tmp_path / "c.yaml"
    one = {"type": "loki", "url": "https://x"}
    many = [one | {"name": f"n{i}"} for i in range(13)]
    assert check(path, with_receivers(many[:12])).returncode == 0
    assert "at most 12 receivers, got 13" in check(path, with_receivers(many)).stderr
    deep = "{{title}}"
    for _ in range(40):
        deep = [deep]
    body = [{"name": "a", "type": "webhook", "url": "https://x", "body": deep}]
    assert "more than 32 levels" in check(path, with_receivers(body)).stderr
    assert "expected at most" in check(path, HEAD + "#" * 1100000).stderr
    assert "line 3, column 1: unknown key" in check(path, HEAD + "receiver: []\n").stderr


def test_the_kind_says_who_reads_it(tmp_path):
    path = tmp_path / "c.yaml"
    wrong = check(path, HEAD.replace("ObserverConfig", "Observerconfig"))
    assert "kind: expected Config, got Observerconfig" in wrong.stderr
    assert "apiVersion: expected lastword.dev/v1alpha1" in check(path, HEAD.replace("v1alpha1", "v1")).stderr
