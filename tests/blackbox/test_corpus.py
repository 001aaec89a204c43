"""The corpus: pods and manifests of every kind that is known, in five configurations, each with a native
and with a classic sidecar. What is expected of each is data too: tests/data/corpus/decisions.yaml.

A decision is written as "RULE MODE names": the containers whose command is wrapped, and after a "-" each
one that is not, with the reason ("jobs sidecar main - proxy:no-command"). MODE is "sidecar" for one of
the configured mode, "none", or the mode of one that was there already. A pod that nothing is done to has
the outcome and its reason."""
import copy
import json

import pytest
import yaml

from invariants import check_kept, check_valid
from test_pods import SHIPPED, data_pods, lastword as run_lastword, main_of, pod_of, values
from webhook_process import ROOT

DATA = ROOT / "tests/data/corpus"
CONFIGURATIONS = yaml.safe_load((DATA / "configurations.yaml").read_text())
MANIFESTS = yaml.safe_load((DATA / "manifests.yaml").read_text())
DECISIONS = yaml.safe_load((DATA / "decisions.yaml").read_text())
TEMPLATE = "{spec: {containers: [{name: main, image: x, command: [/a]}]}}"
MODES = {"native": "1.36", "classic": "1.28"}


def all_pods():
    """{name: pod}: those of tests/data/corpus/pods.yaml and of tests/data/pods/."""
    pods = {p["name"]: pod_of([main_of(**({} if c == "A" else c)) for c in p["containers"]],
                              p.get("spec"), p.get("labels"), p.get("annotations"))
            for p in yaml.safe_load((DATA / "pods.yaml").read_text())}
    pods.update(data_pods())
    return pods


def write_config(path, name, mode):
    wanted = CONFIGURATIONS[name]
    config = {**copy.deepcopy(SHIPPED), **({"rules": wanted["rules"]} if "rules" in wanted else {})}
    config["sidecar"]["mode"] = mode
    for dotted, value in wanted.get("change", {}).items():
        *parents, last = dotted.split(".")
        (config[parents[0]] if parents else config)[last] = value
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def lastword(command, path, mode, text, *more):
    return run_lastword(command, path, MODES[mode], text, *more)[0]


def written(record, mode):
    """The record as decisions.yaml has it."""
    if "containers" not in record:
        return f"{record['outcome']}: {record.get('reason', '')}"
    wrapped = [c["name"] for c in record["containers"] if "command" in c["applied"]]
    others = [f"{c['name']}:{c['skipped'].get('command')}" for c in record["containers"]
              if "command" not in c["applied"]]
    shadow = "" if record["outcome"] == "injected" else record["outcome"] + " "
    sidecar = "sidecar" if record["sidecar"] == mode else record["sidecar"]
    return " ".join([shadow + record["rule"], sidecar,
                     *wrapped, *(["-", *others] if others else [])])


def expected(name, configuration, mode):
    decision = DECISIONS[name][configuration]
    return decision[mode] if isinstance(decision, dict) else decision  # where the sidecar's mode matters


def check(name, configuration, mode, got):
    assert got == expected(name, configuration, mode), f"{name}, {configuration}, {mode}"


def check_pod(before, after, again, record):
    assert again == after  # a second time nothing changes
    check_kept(before, after)
    if record["outcome"] == "injected":
        check_valid(after)
    else:
        assert after == before


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("mode", MODES)
def test_pods(tmp_path, configuration, mode):
    write_config(tmp_path / "c.yaml", configuration, mode)
    pods = all_pods()
    text = "\n".join(json.dumps(pod) for pod in pods.values())
    records = values(lastword("explain", tmp_path / "c.yaml", mode, text))
    out = lastword("inject", tmp_path / "c.yaml", mode, text, "-o", "json")
    again = lastword("inject", tmp_path / "c.yaml", mode, out, "-o", "json")
    results = [values(out), values(again), records]
    assert all(len(result) == len(pods) for result in results)
    for (name, pod), after, second, record in zip(pods.items(), *results):
        check(name, configuration, mode, written(record, mode))
        check_pod(pod, after, second, record)


def files():
    """Lists of manifests that stand in one file: most together, those whose first or last bytes matter
    alone."""
    alone = [case for case in MANIFESTS if case["file"][0] == "\ufeff" or
             (case["file"][0] != "{" and case["file"][-1] != "\n")]
    return [[case for case in MANIFESTS if case not in alone], *([case] for case in alone)]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("mode", MODES)
def test_manifests(tmp_path, configuration, mode):
    path = tmp_path / "c.yaml"
    write_config(path, configuration, mode)
    for cases in files():
        texts = [case["file"].replace("TEMPLATE", TEMPLATE) for case in cases]
        text = texts[0] if len(texts) == 1 else "".join(f"---\n{t.rstrip()}\n" for t in texts)
        records = iter(values(lastword("explain", path, mode, text)))
        out = lastword("inject", path, mode, text)
        assert lastword("inject", path, mode, out) == out
        for case, own in zip(cases, texts):
            name = "manifest " + case["name"]
            wanted = expected(name, configuration, mode)
            got = [next(records, None) for _ in range(wanted.count("|") + bool(wanted))]
            assert None not in got, name
            check(name, configuration, mode, " | ".join(written(record, mode) for record in got))
            if all(record["outcome"] != "injected" for record in got):
                assert own.strip("\ufeff").rstrip() in out
        assert list(records) == []
        if len(texts) == 1 and all(own in out for own in texts):
            assert out.lstrip("\ufeff") == text.lstrip("\ufeff")


def test_size_of_the_corpus():
    assert len(all_pods()) >= 150 and len(MANIFESTS) >= 60 and len(CONFIGURATIONS) == 5
    assert set(DECISIONS) == {*all_pods(), *("manifest " + case["name"] for case in MANIFESTS)}
