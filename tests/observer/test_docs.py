"""docs/observer.md and the program say the same."""
import re
import subprocess

import yaml

from injected import BUILD, ROOT

TEXT = (ROOT / "docs/observer.md").read_text()


def observer(*arguments):
    return subprocess.run([BUILD / "bin/lastword-observer", *arguments], capture_output=True,
                          text=True, timeout=60)


def test_every_flag_is_documented():
    usage = observer("--help").stdout
    flags = set(re.findall(r"^\s*(--[a-z-]+)", usage, re.M)) - {"--version", "--help"}
    known = re.findall(r'^\s*\{"([a-z-]+)", \w+, ', (ROOT / "observer/main.c").read_text(), re.M)
    assert flags == {f"--{name}" for name in known}
    table = TEXT[TEXT.index("## Flags"):TEXT.index("## Rights")]
    assert flags == set(re.findall(r"`(--[a-z-]+) ", table))


def test_every_metric_is_documented():
    names = {name for source in ("observer/base/metrics.c", "lib/http/process_metrics.c")
             for name in re.findall(r'"((?:lastword|process)_\w+)"', (ROOT / source).read_text())}
    table = TEXT[TEXT.index("## Metrics"):TEXT.index("## Bounds")]
    assert names == set(re.findall(r"`((?:lastword|process)_\w+)", table))


def test_every_right_is_documented():
    table = TEXT[TEXT.index("## Rights"):TEXT.index("## Metrics")]
    documented = {}
    for resource, verbs in re.findall(r"^\| [^|]*\| `([a-z/]+)`[^|]*\| ([a-z, ]+) \|", table, re.M):
        documented[resource] = set(verbs.split(", "))
    granted = {}
    for manifest in yaml.safe_load_all((ROOT / "manifests/base/observer.yaml").read_text()):
        for rule in manifest.get("rules", ()):
            for resource in rule["resources"]:
                granted.setdefault(resource, set()).update(rule["verbs"])
    assert documented == granted


def test_usage_errors():
    assert observer("--help").returncode == 0
    assert observer("--version").stdout.startswith("lastword-observer 0.")
    for arguments, says in [(["--nothing"], "unrecognized option"), (["x"], '"x"'),
                            (["--silent-after", "soon"], "--silent-after"), (["--failover-delay", "0s"], "above 0"),
                            (["--record-cap", "0"], "--record-cap"),
                            (["--namespace", "a/b?c"], "--namespace"),
                            (["--log-level", "loud"], "--log-level")]:
        result = observer(*arguments)
        assert result.returncode == 2 and says in result.stderr, arguments
    result = subprocess.run([BUILD / "bin/lastword-observer"], capture_output=True, text=True,
                            env={}, timeout=60)
    assert result.returncode == 1 and "KUBERNETES_SERVICE_HOST" in result.stderr
